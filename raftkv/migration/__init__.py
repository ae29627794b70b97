"""Moving a key space between etcd and raftkv, over and back."""
