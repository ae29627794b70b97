"""The kubelet: a node's pods as processes of this machine."""
