"""What was decided of a person's consent, and why, in words: a log line has `email subscribe: yes_is_newer`."""

from mappers.consent import Why

_ACTIONS = {"subscribe": "subscribed", "unsubscribe": "unsubscribed", "nothing": "nothing is done"}

_REASONS = {
    Why.AGREES: "Klaviyo agrees with the shop",
    Why.SAYS_NOTHING: "the shop says neither yes nor no",
    Why.UNKNOWN: "Klaviyo does not say what it has, and nobody is subscribed on a guess",
    Why.SUPPRESSED: "Klaviyo has suppressed the address for a bounce or a complaint, which is never lifted",
    Why.NO_STAYS: 'the person said no in Klaviyo, and conflict = "klaviyo" lets that stand',
    Why.NO_TIME: "the person said no in Klaviyo, and nobody knows since when the shop's yes stands",
    Why.NO_IS_NEWER: "the person said no in Klaviyo after the shop's yes",
    Why.ASKED: "we subscribed them before; with double opt-in they have a confirmation mail to answer",
    Why.UNCONFIRMED: "confirmed needs the time of the yes, and there is none in the past",
    Why.NEW_YES: "the shop says yes, and Klaviyo has no answer yet",
    Why.NEWER_YES: "the shop's yes is newer than Klaviyo's no",
    Why.SHOP_WINS: 'the shop always wins, by conflict = "commercetools"',
    Why.NEWER_NO: "the shop's no is newer than Klaviyo's yes",
    Why.OWN: "the shop says no, and the subscription is one that we made",
    Why.NOT_OURS: "the shop's no has no time, and the person subscribed elsewhere, such as by a form",
    Why.YES_IS_NEWER: "the person subscribed after the shop's no",
    Why.WITHDRAWN: "the shop says no after we had subscribed them",
    Why.NO_ADDRESS: "the profile has no such address, or it belongs to another profile",
}
_CHANGED = "customer_changed_since_the_order"


def consent_in_words(decided: str) -> str:
    """`email: subscribed, as the shop's yes is newer than Klaviyo's no`; what is not known stays as it is."""
    what, _, why = decided.partition(": ")
    channel, _, action = what.partition(" ")
    if why == _CHANGED:
        reason = "the customer's own field says no, and may have done so after the order"
    elif why in {one.value for one in Why}:
        reason = _REASONS[Why(why)]
    else:
        return decided
    return f"{channel}: {_ACTIONS.get(action, action)}, as {reason}"
