"""Finding drift: Klaviyo is compared with the shop, and the live handlers fix what differs.

Whole lists find candidates; comparisons by id confirm them. A difference is drift if the shop's side was the same in
two reads, `[reconcile] second_look` seconds apart, and Klaviyo still differs at the second. So changes that live
messages are about to make are not reported.
"""
