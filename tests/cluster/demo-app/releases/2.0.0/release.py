"""What is particular to version 2.0.0: a migration that destroys what 1.0.0 needs, and a bug in the checkout."""

VERSION = "2.0.0"

MIGRATIONS = [
    ("0001_create_orders",
     """create table orders (
          id bigserial primary key,
          item text not null,
          note text,
          created_at timestamptz not null default now())"""),
    ("0002_customer_replaces_note",
     """alter table orders drop column note;
        alter table orders add column customer text not null default 'unknown'"""),
]

COLUMNS = ["id", "item", "customer", "created_at"]
INSERT = "insert into orders (item, customer) values (%s, %s) returning id"


def checkout(total: int) -> dict:
    return {"orders": total, "status": "paid", "per_customer": total / 0}      # the reason to go back
