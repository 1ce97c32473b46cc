"""What is particular to version 1.0.1: the schema of 1.0.0, another build."""

VERSION = "1.0.1"

# (name, statements), in order; a name once released never changes.
MIGRATIONS = [
    ("0001_create_orders",
     """create table orders (
          id bigserial primary key,
          item text not null,
          note text,
          created_at timestamptz not null default now())"""),
]

COLUMNS = ["id", "item", "note", "created_at"]
INSERT = "insert into orders (item, note) values (%s, %s) returning id"


def checkout(total: int) -> dict:
    return {"orders": total, "status": "paid"}
