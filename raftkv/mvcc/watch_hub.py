class WatchHub:
    def __init__(self, store): self.needs_catch_up=False; self.on_work=None
    def catch_up(self,n): return True
    def restored(self): pass
