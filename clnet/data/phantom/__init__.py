"""A parametric whole-body CT made from scratch, as the data sets of five hospitals; nothing downstream knows that it is one."""

from .recipe import PhantomRecipe, write

__all__ = ["PhantomRecipe", "write"]
