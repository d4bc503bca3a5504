"""Rebuilding the index of recordings while events keep coming and searches keep answering.

    created ──▶ dual_writing ──▶ backfilling ──▶ verified ──▶ swapped ──▶ retired
       └──────────────┴───────────────┴─────────────┴──▶ aborted  │
                                                    ▲─ rollback ──┘

- `state`: the one document that says where a reindex stands, and who works on it.
- `transitions`: the steps from one state to the next; `operator` those that a person asks for.
- `backfill`, `carry`: what fills the new index. `verification`: what has to be right before a swap.

The groups of supervisors have an index of their own, which a reindex leaves where it is: it is
small, its mapping only ever grows (`init` adds to it in place), and what a source says of groups is
merged into it as a worker would.
"""
