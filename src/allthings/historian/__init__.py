"""Keeps every reading: schema, ingest, rollups, history, SQL. The only room that speaks ClickHouse."""
