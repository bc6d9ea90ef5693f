"""Ring 2: the database: tables, the audit log and queries by noun."""
