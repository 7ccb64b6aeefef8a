"""Model servers that answer over HTTP as the real stacks do, one module per shape; standard library only."""
