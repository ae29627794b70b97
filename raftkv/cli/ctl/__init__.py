"""etcdctl's verbs and a few of our own: one file per noun, ``group`` joins them."""
