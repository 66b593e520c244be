"""Customers with a sealed IBAN: customers.py create | add NAME (the IBAN on standard input) | show ID | list | reseal | deks"""

import collections
import os
import sys
import uuid

from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sealed import KeyfoldError, SealedText, Values, dek_no, opened

VALUES = Values(keyring="kv:secret/keyrings/customers", pin="transit/customers")


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    iban_sealed: Mapped[str | None] = mapped_column("iban", SealedText)
    iban = opened("iban_sealed", VALUES)

    def __init__(self, **columns):
        # The key comes first: values are bound to it.
        super().__init__(**{"id": uuid.uuid4(), **columns})


# Without hide_parameters SQLAlchemy prints the values of a statement that failed.
ENGINE = create_engine(os.environ["DATABASE_URL"], hide_parameters=True)


def create():
    Base.metadata.create_all(ENGINE)


def add(name):
    with Session(ENGINE) as session, session.begin():
        customer = Customer(name=name, iban=sys.stdin.readline().strip())
        session.add(customer)
        print(customer.id)


def show(id):
    with Session(ENGINE) as session:
        customer = session.get_one(Customer, uuid.UUID(id))
        print(customer.id, customer.name, customer.iban)


def everyone():
    with Session(ENGINE) as session:
        for customer in session.scalars(select(Customer).order_by(Customer.name)):
            print(customer.id, customer.name, customer.iban)


def reseal():
    """Gives each value the DEK of today. The rows are locked meanwhile, so that nobody's change is lost."""
    with Session(ENGINE) as session, session.begin():
        for customer in session.scalars(select(Customer).with_for_update()):
            customer.iban = customer.iban


def deks():
    """How many values each data key has sealed."""
    with Session(ENGINE) as session:
        values = session.scalars(select(Customer.iban_sealed).where(Customer.iban_sealed.is_not(None)))
        for number, count in sorted(collections.Counter(map(dek_no, values)).items()):
            print(f"DEK {number}: {count}")


COMMANDS = {"create": create, "add": add, "show": show, "list": everyone, "reseal": reseal, "deks": deks}

if __name__ == "__main__":
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except KeyfoldError as error:
        print(f"customers: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
