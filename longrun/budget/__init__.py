"""Budget: how many attempts beyond the first all calls of one name may make. Made by ``retry.budget``.

``settings`` the numbers, ``ledger`` the pure arithmetic, ``budget`` the state that threads share.
"""
