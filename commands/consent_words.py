"""What was decided of a person's consent, and why, in words: a log line has `email subscribe: yes_is_newer`."""

from mappers.consent import Reason

_ACTIONS = {"subscribe": "subscribed", "unsubscribe": "unsubscribed", "nothing": "nothing is done"}

_REASONS = {
    Reason.AGREES: "Klaviyo agrees with the shop",
    Reason.SAYS_NOTHING: "the shop says neither yes nor no",
    Reason.UNKNOWN: "Klaviyo does not say what it has, and nobody is subscribed on a guess",
    Reason.SUPPRESSED: "Klaviyo has suppressed the address for a bounce or a complaint, which is never lifted",
    Reason.NO_STAYS: 'the person said no in Klaviyo, and conflict = "klaviyo" lets that stand',
    Reason.NO_TIME: "the person said no in Klaviyo, and nobody knows since when the shop's yes stands",
    Reason.NO_IS_NEWER: "the person said no in Klaviyo after the shop's yes",
    Reason.ASKED: "we subscribed them before; with double opt-in they have a confirmation mail to answer",
    Reason.UNCONFIRMED: "confirmed needs the time of the yes, and there is none in the past",
    Reason.NEW_YES: "the shop says yes, and Klaviyo has no answer yet",
    Reason.NEWER_YES: "the shop's yes is newer than Klaviyo's no",
    Reason.SHOP_WINS: 'the shop always wins, by conflict = "commercetools"',
    Reason.NEWER_NO: "the shop's no is newer than Klaviyo's yes",
    Reason.OWN: "the shop says no, and the subscription is one that we made",
    Reason.NOT_OURS: "the shop's no has no time, and the person subscribed elsewhere, such as by a form",
    Reason.YES_IS_NEWER: "the person subscribed after the shop's no",
    Reason.WITHDRAWN: "the shop says no after we had subscribed them",
    Reason.NO_ADDRESS: "the profile has no such address, or it belongs to another profile",
}
_CHANGED = "customer_changed_since_the_order"


def consent_in_words(decided: str) -> str:
    """`email: subscribed, as the shop's yes is newer than Klaviyo's no`; what is not known stays as it is."""
    what, _, why = decided.partition(": ")
    channel, _, action = what.partition(" ")
    if why == _CHANGED:
        reason = "the customer's own field says no, and may have done so after the order"
    elif why in {one.value for one in Reason}:
        reason = _REASONS[Reason(why)]
    else:
        return decided
    return f"{channel}: {_ACTIONS.get(action, action)}, as {reason}"
