"""How MongoDB is reached: connections, indexes, rows as they were sent, batches of counts, and a mongod of our own."""
