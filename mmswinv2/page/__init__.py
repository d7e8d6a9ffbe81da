"""A page in the browser that shows what a model finds, and what a window does.

choices -> models -> passes -> findings -> handlers -> layout -> server: what there is
to choose from, loaded models, one pass, what to tell of it, what a press does, where
things stand, and how it is served. Needs the extra 'demo'.
"""
