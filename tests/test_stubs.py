"Type checkers see what `@patch` adds to a class."
import stubs

SOURCE = '''"A module."
from fastcore.basics import patch

class Box:
    "A box."
    def __init__(self, side:int, what=None): # What is in it
        self.side, self.what, self.left = side, what, set()
        self.side = abs(side)

@patch
def put(self:Box, n:int=1) -> bool: # Does it fit?
    "Put it in."
    self.full = n > self.side
    return not self.full

@patch(as_prop=True)
def area(self:Box) -> int: return self.side**2

@patch(cls_method=True)
def small(cls:Box) -> "Box": return cls(1)

def use(box:Box): return box.put(2)
'''
STUB = '''"""A module."""
from typing import Any as _Any
from fastcore.basics import patch

class Box:
    """A box."""
    full: _Any
    left: _Any
    side: int
    what: _Any

    def __init__(self, side: int, what=None):
        ...

    def put(self, n: int=1) -> bool:
        """Put it in."""
        ...

    @property
    def area(self) -> int:
        ...

    @classmethod
    def small(cls) -> 'Box':
        ...

def use(box: Box):
    ...
'''


def test_patched_methods_are_methods_of_their_class():
    assert stubs.stub(SOURCE) == STUB
    assert stubs.stub("def f(): pass") is None


def test_every_module_that_patches_has_a_stub():
    "Each class is in the module that patches it, or the stub could not be made."
    for p in stubs.PACKAGE.rglob("*.py"):
        source = p.read_text(encoding="utf-8")
        found = stubs.stub(source)
        assert ("\n@patch" in source) == bool(found) and "@patch" not in (found or "")
        if found: compile(found, p, "exec")
