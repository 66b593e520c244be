"""Three nodes on one store, clients that write down what they were told, and a checker of what they wrote down.

    world     the nodes and the store
    network   namespaces for them, and links that can be cut and slowed
    clock     wall clocks that can be skewed
    faults    what goes wrong
    clients   what is asked meanwhile, and the history of it
    checks    what must be true of a history, whatever went wrong

The store is a PostgreSQL or an etcd of Debian's packages, the nodes are the program in KEYFOLD_BIN.
"""
