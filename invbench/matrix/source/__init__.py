"""YAML text to plain values that remember where they stood.

A leaf: it knows nothing of what the values mean. The reader is safe on text from anybody. It walks
PyYAML's parsing events, so nothing is constructed, no tag is obeyed and no depth of nesting overflows the
stack; size, nodes (counted after aliases are followed) and depth are bounded.
"""
