"""What a right etcd would answer."""
