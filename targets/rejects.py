"""Correct: answers new long work with 503 and Retry-After while what it holds still streams."""

from common import Server, main

if __name__ == "__main__":
    main(Server)
