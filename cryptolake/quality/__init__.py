"""The rules of silver's tables, checked on the tables themselves, beside the stream and without a JVM."""
