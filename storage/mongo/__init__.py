"""How MongoDB is reached: connections, indexes, documents, batches of counts, and a mongod of our own."""
