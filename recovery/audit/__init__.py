"""Several model versions on the same clicks: how they differ, and what each would bill.

preparing   what is asked for, checked and made ready
judging     the pass: every version's decision of every click, beside production's
tallies     what is kept of the clicks: how many, of how much money, each outcome has
figures     what the tallies say, as frozen data that adds up
forms       the figures as JSON
files       the folder: audit.json, differences.parquet, manifest.json
auditing    from a prepared audit to its folder
report      the figures as people read them
"""
