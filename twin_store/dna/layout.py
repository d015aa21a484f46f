"""The columns of a twin's integer tables, and the windows that bound them.

A twin is a bag of integers. Everything that counts is additive, so that any order of arrival gives the same
numbers (law 2), a return takes back exactly (law 4) and two partial twins add up (law 8). All values are int64:
money in minor units, quantities in thousandths, times in epoch seconds or days since 1970, strings as
64-bit keys (`twin_store.symbols`).

Windows: an event is late when it is `LATE_DAYS` or more behind the newest that came under the same id, or when it
is so old that events of its time are not kept line by line any more; a return finds its sale
up to `RETURN_DAYS` back, and up to `EARLY_DAYS` ahead, since the clocks of tills differ. Receipts are kept line by
line for the sum of these, so within the limits no order of arrival changes the state: whatever may still change
what a sale adds arrives while all that changed it before is there. Likewise clicks, for a session is one as long
as no `SESSION_DAYS` pass without a click. Cells are read over `READ_WEEKS`, and kept as much longer as a reader may
rewind.
"""

LATE_DAYS = 14
RETURN_DAYS = 90
EARLY_DAYS = 1
RECEIPT_DAYS = LATE_DAYS + RETURN_DAYS + EARLY_DAYS
SESSION_DAYS = 14
CLICK_DAYS = LATE_DAYS + SESSION_DAYS
READ_WEEKS = 53
CELL_DAYS = 7 * READ_WEEKS + RECEIPT_DAYS

SALE, RETURN, VOID = 0, 1, 2
KINDS = {"sale": SALE, "return": RETURN, "void": VOID}
SEARCH, VIEW, ADD_TO_CART, REMOVE_FROM_CART, CHECKOUT_START, PURCHASE = range(6)
ACTIONS = {
    "search": SEARCH,
    "view": VIEW,
    "add_to_cart": ADD_TO_CART,
    "remove_from_cart": REMOVE_FROM_CART,
    "checkout_start": CHECKOUT_START,
    "purchase": PURCHASE,
}

# What one receipt line adds. Every table below that holds measures holds them in this order.
M_LINES, M_UNITS, M_NET, M_DISCOUNT, M_COUPON, M_DEAL_LINES, M_COUPON_LINES, M_PRICED_LINES = range(8)
MEASURES = 8

# A decoded receipt line: sku and measures.
LINE_SKU = 0
LINE_MEASURE = 1
LINE_COLUMNS = 1 + MEASURES

# A decoded receipt, return or void.
EVENT_TWIN, EVENT_TXN, EVENT_KIND, EVENT_SECOND, EVENT_VISIT, EVENT_ORIGINAL, EVENT_START, EVENT_END = range(
    8
)
EVENT_COLUMNS = 8

# An open receipt, one row a sku; sorted by (TXN, SKU).
R_TXN, R_SKU, R_KIND, R_SECOND, R_VISIT, R_ORIGINAL = range(6)
R_MEASURE = 6
RECEIPT_COLUMNS = R_MEASURE + MEASURES

# What was bought of a sku on a day; sorted by (SKU, DAY), additive from C_MEASURE on.
C_SKU, C_DAY = 0, 1
C_MEASURE = 2
C_LINES, C_UNITS, C_NET, C_DISCOUNT = 2, 3, 4, 5
C_COUPON, C_DEAL_LINES, C_COUPON_LINES, C_PRICED_LINES = 6, 7, 8, 9
C_VIEWS, C_CARTS = 10, 11
CELL_COLUMNS = 12

# Trips by store and channel and week (weeks since Monday 1970-01-05); sorted by (KEY, DAY), additive after.
# DAY is the Monday that starts the week, so that cells and visits expire by the same rule.
V_KEY, V_DAY, V_RECEIPTS, V_LINES, V_NET, V_DISCOUNT = range(6)
VISIT_COLUMNS = 6

# A click; sorted by (EVENT, SECOND).
K_EVENT, K_SECOND, K_SESSION, K_ACTION, K_SKU, K_QUANTITY = range(6)
CLICK_COLUMNS = 6

# Totals over the twin's life.
H_EVENTS, H_RECEIPTS, H_VOIDED, H_RETURNED_LINES = range(4)
H_MEASURE = 4
H_FUNNEL = H_MEASURE + MEASURES
H_SESSIONS = H_FUNNEL + 6
H_HOUR = H_SESSIONS + 1
H_WEEKDAY = H_HOUR + 24
H_ADDITIVE = H_WEEKDAY + 7
H_FIRST_SECOND, H_LAST_SECOND, H_LAST_CLICK_SECOND = H_ADDITIVE, H_ADDITIVE + 1, H_ADDITIVE + 2
# The newest receipt and click that came under the twin's own id: what was handed over from another id moves the
# columns above but not these, so that what is late does not hang on when the hand-over came.
H_OWN_SECOND, H_OWN_CLICK_SECOND = H_ADDITIVE + 3, H_ADDITIVE + 4
HEAD_COLUMNS = H_ADDITIVE + 5

ACCEPTED, DUPLICATE, LATE = 0, 1, 2
