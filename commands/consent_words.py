"""Put a logged decision about consent, such as `email subscribe: yes_is_newer`, into words."""

from mappers.consent import Reason

_ACTIONS = {"subscribe": "subscribe", "unsubscribe": "unsubscribe", "nothing": "no change"}

_REASONS = {
    Reason.AGREES: "Klaviyo agrees with the shop",
    Reason.SAYS_NOTHING: "the shop says neither yes nor no",
    Reason.UNKNOWN: "Klaviyo does not return the person's consent, and the sync does not guess",
    Reason.SUPPRESSED: "Klaviyo has suppressed the address for a bounce or a complaint, which the sync never lifts",
    Reason.NO_STAYS: 'the person said no in Klaviyo, and with conflict = "klaviyo" that wins',
    Reason.NO_TIME: "the person said no in Klaviyo, and the shop's yes has no time",
    Reason.KLAVIYO_NO_IS_NEWER: "the person said no in Klaviyo after the shop's yes",
    Reason.ASKED: "the sync has subscribed them before; with double opt-in they must first confirm by mail",
    Reason.UNCONFIRMED: "[consent] confirmed needs the time of the yes, and there is none in the past",
    Reason.NEW_YES: "the shop says yes, and Klaviyo has no answer yet",
    Reason.SHOP_YES_IS_NEWER: "the shop's yes is newer than Klaviyo's no",
    Reason.SHOP_WINS: 'with conflict = "commercetools" the shop always wins',
    Reason.SHOP_NO_IS_NEWER: "the shop's no is newer than Klaviyo's yes",
    Reason.OWN: "the shop says no, and it was the sync that subscribed them",
    Reason.NOT_OURS: "the shop's no has no time, and the person subscribed elsewhere, such as by a form",
    Reason.KLAVIYO_YES_IS_NEWER: "the person subscribed after the shop's no",
    Reason.WITHDRAWN: "the shop has said no since the sync subscribed them",
    Reason.NO_ADDRESS: "the profile has no such address, or another profile has it",
}
_CHANGED = "customer_changed_since_the_order"


def consent_in_words(decision: str) -> str:
    """`email: subscribe, because the shop's yes is newer than Klaviyo's no`. Unknown reasons are returned unchanged."""
    what, _, why = decision.partition(": ")
    channel, _, action = what.partition(" ")
    if why == _CHANGED:
        reason = "the customer may have said no in the shop since the order"
    elif why in {one.value for one in Reason}:
        reason = _REASONS[Reason(why)]
    else:
        return decision
    return f"{channel}: {_ACTIONS.get(action, action)}, because {reason}"
