"""A real Apache Kafka of our own: one KRaft node on loopback, from the locked jars."""
