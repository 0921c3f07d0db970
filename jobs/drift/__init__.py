"""Looking for drift: what Klaviyo has is compared with the shop, and mended by the live handlers.

Lists find candidates, and looks by id confirm them. A difference is drift if the shop's side was the same at two looks,
`[reconcile] second_look` seconds apart, and Klaviyo differs at the second one: what live messages are about to change
is not reported.
"""
