"""Runs the migrations on the connection that `app.store.schema` gives, inside its transaction. Never by itself."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True, transactional_ddl=True)
context.run_migrations()
