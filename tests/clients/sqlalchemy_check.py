"""SQLAlchemy 2 over psycopg: engine, tables, ORM, and everything that its inspector asks of the catalog."""

import datetime
import decimal

import sqlalchemy as sa
from sqlalchemy import orm

from harness import Suite, fails, same

suite = Suite("sqlalchemy")
check = suite.check


class Base(orm.DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "orm_person"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    name: orm.Mapped[str] = orm.mapped_column(sa.String, nullable=False)
    born: orm.Mapped[datetime.date | None]
    wealth: orm.Mapped[decimal.Decimal | None]


def engine():
    return sa.create_engine(suite.server.url.replace("postgres://", "postgresql+psycopg://"),
                            connect_args={"connect_timeout": 5})


def fresh_orm():
    made = engine()
    Base.metadata.drop_all(made)
    Base.metadata.create_all(made)
    return made


def inspected():
    """An inspector over one table, one view and one materialized view."""
    made = engine()
    with made.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in (
            "DROP TABLE IF EXISTS seen CASCADE",
            "CREATE TABLE seen (a int, b text NOT NULL, c numeric, d timestamp, e double precision, f int[], "
            "PRIMARY KEY (a, b))",
            "CREATE INDEX seen_c ON seen (c)",
            "CREATE VIEW seen_view AS SELECT a, b FROM seen",
            "CREATE MATERIALIZED VIEW seen_total AS SELECT b, count(*) AS n FROM seen GROUP BY b",
            "COMMENT ON TABLE seen IS 'what is seen'",
            "COMMENT ON COLUMN seen.b IS 'the second'",
        ):
            connection.exec_driver_sql(statement)
    return sa.inspect(made)


@check
def connects():
    with engine().connect() as connection:
        same(connection.execute(sa.text("SELECT 1 + :n"), {"n": 1}).scalar(), 2)
        assert connection.dialect.server_version_info >= (14,), connection.dialect.server_version_info
        same(connection.dialect.default_schema_name, "public")


@check
def creates_and_drops_tables():
    made = fresh_orm()
    assert sa.inspect(made).has_table("orm_person")
    Base.metadata.create_all(made)
    Base.metadata.drop_all(made)
    assert not sa.inspect(made).has_table("orm_person")


@check
def orm_inserts_selects_updates_deletes():
    made = fresh_orm()

    def flush() -> None:
        with made.connect() as connection:
            connection.execute(sa.text("FLUSH"))

    with orm.Session(made) as session:
        session.add_all([Person(id=1, name="Ada", born=datetime.date(1815, 12, 10), wealth=decimal.Decimal("10.50")),
                         Person(id=2, name="Bob"), Person(id=3, name="Cy")])
        session.commit()
    flush()
    with orm.Session(made) as session:
        found = session.scalars(sa.select(Person).order_by(Person.id)).all()
        same([(p.id, p.name, p.born, p.wealth) for p in found],
             [(1, "Ada", datetime.date(1815, 12, 10), decimal.Decimal("10.50")), (2, "Bob", None, None),
              (3, "Cy", None, None)])
        found[1].name = "Robert"
        session.delete(found[2])
        session.commit()
    flush()
    with orm.Session(made) as session:
        same(session.execute(sa.select(Person.id, Person.name).order_by(Person.id)).all(), [(1, "Ada"), (2, "Robert")])
        same(session.scalar(sa.select(sa.func.count()).select_from(Person).where(Person.name.like("A%"))), 1)
        same(session.get(Person, 2).name, "Robert")
        session.execute(sa.delete(Person).where(Person.id.in_([1, 2])))
        session.commit()
    flush()
    with orm.Session(made) as session:
        same(session.scalars(sa.select(Person)).all(), [])


@check
def orm_rolls_back():
    made = fresh_orm()
    with orm.Session(made) as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        session.rollback()
    with made.connect() as connection:
        connection.execute(sa.text("FLUSH"))
        same(connection.execute(sa.select(sa.func.count()).select_from(Person)).scalar(), 0)


@check
def core_insert_of_many_rows():
    made = fresh_orm()
    with made.begin() as connection:
        connection.execute(sa.insert(Person), [{"id": i, "name": f"n{i}"} for i in range(500)])
    with made.connect() as connection:
        connection.execute(sa.text("FLUSH"))
        same(connection.execute(sa.select(sa.func.count()).select_from(Person)).scalar(), 500)


@check
def core_insert_returning():
    made = fresh_orm()
    with made.begin() as connection:
        same(connection.execute(sa.insert(Person).values(id=1, name="x").returning(Person.id)).all(), [(1,)])


@check
def core_insert_on_conflict():
    from sqlalchemy.dialects.postgresql import insert

    made = fresh_orm()
    with made.begin() as connection:
        connection.execute(sa.insert(Person).values(id=1, name="first"))
    with made.begin() as connection:
        connection.execute(sa.text("FLUSH"))
        connection.execute(insert(Person).values(id=1, name="second").on_conflict_do_nothing())
    with made.connect() as connection:
        connection.execute(sa.text("FLUSH"))
        same(connection.execute(sa.select(Person.name)).all(), [("first",)])


@check
def errors_have_their_class():
    with engine().connect() as connection:
        with fails(sa.exc.ProgrammingError, "nowhere"):
            connection.execute(sa.text("SELECT * FROM nowhere"))
        connection.rollback()
        same(connection.execute(sa.text("SELECT 1")).scalar(), 1)


@check
def isolation_level():
    with engine().connect() as connection:
        assert connection.get_isolation_level() in ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


@check
def inspect_names():
    found = inspected()
    assert "public" in found.get_schema_names(), found.get_schema_names()
    assert "seen" in found.get_table_names(), found.get_table_names()
    assert "seen_view" in found.get_view_names(), found.get_view_names()
    assert "seen_total" in found.get_materialized_view_names(), found.get_materialized_view_names()
    assert "seen_total" not in found.get_table_names()


@check
def inspect_columns():
    found = inspected().get_columns("seen")
    same([(c["name"], c["nullable"], type(c["type"]).__name__) for c in found if c["name"] != "b"],
         [("a", False, "INTEGER"), ("c", True, "NUMERIC"), ("d", True, "TIMESTAMP"), ("e", True, "DOUBLE_PRECISION"),
          ("f", True, "ARRAY")])


@check
def inspect_columns_of_views():
    found = inspected()
    same([c["name"] for c in found.get_columns("seen_view")], ["a", "b"])
    same([c["name"] for c in found.get_columns("seen_total")], ["b", "n"])


@check
def inspect_primary_key():
    found = inspected().get_pk_constraint("seen")
    same((found["constrained_columns"], found["name"]), (["a", "b"], "seen_pkey"))


@check
def inspect_indexes():
    found = inspected().get_indexes("seen")
    same([(i["name"], i["column_names"][:1], i["unique"]) for i in found], [("seen_c", ["c"], False)])


@check
def inspect_constraints_that_are_not_there():
    found = inspected()
    same(found.get_foreign_keys("seen"), [])
    same(found.get_unique_constraints("seen"), [])
    same(found.get_check_constraints("seen"), [])


@check
def inspect_comment():
    found = inspected()
    same(found.get_table_comment("seen"), {"text": "what is seen"})
    same([c["comment"] for c in found.get_columns("seen")][:3], [None, "the second", None])


@check
def comment_on_what_is_not_there():
    inspected()
    for statement, state in (
        ("COMMENT ON TABLE nowhere IS 'x'", "42P01"),
        ("COMMENT ON COLUMN seen.nothing IS 'x'", "42703"),
        ("COMMENT ON COLUMN b IS 'x'", "42601"),
        ("COMMENT ON VIEW seen IS 'x'", "42809"),
    ):
        with engine().connect() as connection:
            try:
                connection.exec_driver_sql(statement)
            except sa.exc.DBAPIError as error:
                same(error.orig.sqlstate, state)
            else:
                raise AssertionError(f"{statement} was not refused")


@check
def inspect_view_definition():
    assert "seen" in inspected().get_view_definition("seen_view")


@check
def inspect_enums_sequences_and_missing():
    found = inspected()
    same(found.get_sequence_names(), [])
    same(found.get_enums(), [])
    same(found.has_table("nowhere"), False)
    with fails(sa.exc.NoSuchTableError):
        found.get_columns("nowhere")


@check
def reflect():
    inspected()
    metadata = sa.MetaData()
    metadata.reflect(engine(), views=True)
    same([c.name for c in metadata.tables["seen"].primary_key], ["a", "b"])
    assert {"seen_view", "seen_total"} <= set(metadata.tables), list(metadata.tables)


@check
def reflected_table_is_queried():
    made = inspected().bind
    table = sa.Table("seen", sa.MetaData(), autoload_with=made)
    with made.begin() as connection:
        connection.execute(table.insert().values(a=1, b="x", c=decimal.Decimal("1.5"), f=[1, 2]))
    with made.connect() as connection:
        connection.execute(sa.text("FLUSH"))
        same(connection.execute(sa.select(table.c.a, table.c.c, table.c.f)).all(), [(1, decimal.Decimal("1.5"), [1, 2])])


if __name__ == "__main__":
    suite.main()
