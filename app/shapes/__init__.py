"""What more than one door answers as JSON, each shape once: its model, and how it is made from the flow's values.

The API's documents and the commands' ``--json`` are these very models, so that one cannot say what the other leaves
out. Nothing is decided here. Every foreign text is made visible before it gets into a shape (law 13), so it is safe in
a terminal too.
"""
