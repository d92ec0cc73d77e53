"""A candidate version held against simulated bursts and incidents, within bounds that are data.

suite       which scenarios, and whether their bounds can be held
candidate   the version, made ready to stand beside a simulated production
cache       simulated lakes and their healthy versions, made once and kept by content
checking    from a request to figures: simulate, replay, judge
figures     a figure beside its bound, as frozen data
forms       the figures as JSON and as JUnit XML
report      the figures as people read them
"""
