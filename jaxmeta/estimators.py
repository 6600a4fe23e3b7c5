"""Meta-gradient estimators: how the outer gradient passes through an inner update.

Two meta-objectives are in use. With the policy-gradient estimate ``g(theta, D)`` of a
sample ``D`` and its mean ``grad J``, the **limit** objective is ``J(theta + alpha grad
J(theta))``, adaptation to infinitely many episodes, and the **finite-sample** objective
``E_D[J(theta + alpha g(theta, D))]``, what is run at test time. As the number ``N`` of
episodes grows,

| estimator       | estimates the gradient of   | bias     | spread              |
|-----------------|-----------------------------|----------|---------------------|
| `first_order`   | neither                     | constant | falls               |
| `plain`         | half of finite-sample       | constant | falls               |
| `lvc`           | limit, but for terms across | constant | falls, the lowest   |
|                 | time steps                  |          |                     |
| `dice`, `tmaml` | limit                       | 1/N      | falls               |
| `loaded_dice`   | between `lvc` and `dice`    |          | falls               |
| `emaml`         | finite-sample               | none     | grows as sqrt N     |
| `leave_one_out` | finite-sample               | none     | falls, for one      |
|                 |                             |          | inner update        |

Each is exact at its word where losses average over episodes (or all episodes are as
long), where advantages have ``discount_steps=True`` or a discount of one, and where no
baseline depends on the actions it is subtracted for (one fitted on the batch does, a
little): the tests enumerate all samples of small MDPs. A baseline makes the growth of
``emaml`` slower, not another.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxmeta import checks, losses, sampling
from jaxmeta.advantages import Advantage
from jaxmeta.losses import AdvantageLoss, Loss
from jaxmeta.sampling import SamplingTerm
from jaxmeta.types import Policy


class Estimator(NamedTuple):
    """A meta-gradient estimator.

    Attributes:
        name: for messages.
        inner_loss: ``(policy, advantage) -> loss``, whose second derivative it uses.
        first_order: whether inner gradients are taken as constants.
        sampling_term: ``(inner loss, outer loss) -> term``, or None.
    """

    name: str
    inner_loss: Callable[[Policy, Advantage], AdvantageLoss]
    first_order: bool = False
    sampling_term: Callable[[AdvantageLoss, AdvantageLoss], SamplingTerm] | None = None


def first_order() -> Estimator:
    """Take the inner gradients as constants: no second derivatives (FOMAML).

    Source: Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", 2017.
    """
    return Estimator("first_order", losses.policy_gradient, first_order=True)


def plain() -> Estimator:
    """Differentiate ``log pi A`` with the sample held fixed.

    What most published code computes. It leaves out how the sample depends on the
    meta-params, which its gradient can be dominated by.
    """
    return Estimator("plain", losses.policy_gradient)


def lvc() -> Estimator:
    """Low-variance curvature, ``losses.likelihood_ratio`` (ProMP).

    Source: Rothfuss, Lee, Clavera, Asfour and Abbeel, "ProMP: Proximal Meta-Policy
    Search", 2019.
    """
    return Estimator("lvc", losses.likelihood_ratio)


def dice() -> Estimator:
    """``losses.dice``: unbiased second derivatives of the return.

    Source: Foerster et al., "DiCE: The Infinitely Differentiable Monte Carlo
    Estimator", 2018.
    """
    return Estimator("dice", losses.dice)


def tmaml() -> Estimator:
    """``losses.dice`` with its control variate.

    Source: Liu, Socher and Xiong, "Taming MAML: Efficient Unbiased Meta-Reinforcement
    Learning", 2019.
    """

    def inner_loss(policy, advantage):
        return losses.dice(policy, advantage, control_variate=True)

    return Estimator("tmaml", inner_loss)


def loaded_dice(trace_decay: float = 1.0) -> Estimator:
    """``losses.loaded_dice``, from ``lvc`` at zero to ``tmaml`` at one.

    Args:
        trace_decay: lambda in [0, 1].

    Source: Farquhar, Whiteson and Foerster, "Loaded DiCE: Trading off Bias and Variance
    in Any-Order Score Function Gradient Estimators for Reinforcement Learning", 2019.

    Raises:
        ValueError: if ``trace_decay`` is outside [0, 1].
    """
    checks.unit_interval("trace_decay", trace_decay)

    def inner_loss(policy, advantage):
        return losses.loaded_dice(policy, advantage, trace_decay=trace_decay)

    return Estimator("loaded_dice", inner_loss)


def emaml(*, baseline: bool = True) -> Estimator:
    """``plain`` with the sampling term ``sampling.score_term``.

    Args:
        baseline: as in ``sampling.score_term``.

    Source: Stadie et al., "Some Considerations on Learning to Explore via
    Meta-Reinforcement Learning", 2018.
    """

    def sampling_term(inner_loss, outer_loss):
        return sampling.score_term(inner_loss, outer_loss, baseline=baseline)

    return Estimator("emaml", losses.policy_gradient, sampling_term=sampling_term)


def leave_one_out() -> Estimator:
    """``plain`` with the sampling term ``sampling.leave_one_out_term``."""
    return Estimator(
        "leave_one_out",
        losses.policy_gradient,
        sampling_term=sampling.leave_one_out_term,
    )


NAMED: dict[str, Callable[[], Estimator]] = {
    constructor.__name__: constructor
    for constructor in (
        first_order,
        plain,
        lvc,
        dice,
        tmaml,
        loaded_dice,
        emaml,
        leave_one_out,
    )
}


def get(estimator: str | Estimator) -> Estimator:
    """An estimator itself, or the one of that name with its default arguments.

    Raises:
        TypeError: if it is neither a name nor an estimator.
        ValueError: if there is none of that name, suggesting the nearest.
    """
    if isinstance(estimator, Estimator):
        return estimator
    if not isinstance(estimator, str):
        raise TypeError(
            "estimator must be a name or an Estimator, such as "
            f"estimators.loaded_dice(0.9), got {estimator!r}"
        )
    if estimator not in NAMED:
        near = checks.nearest(estimator, NAMED)
        raise ValueError(
            f"estimator: there is no {estimator!r}.{near} There are: {', '.join(NAMED)}"
        )
    return NAMED[estimator]()


def inner_loss_of(
    estimator: Estimator, policy: Policy, advantage: Advantage, given: Loss | None
) -> Loss:
    """The inner loss of an estimator, or the one given, checked against it.

    Raises:
        ValueError: if the estimator is one by its inner loss, and another is given.
    """
    made = estimator.inner_loss(policy, advantage)
    if given is None:
        return made
    if made.has_sampling_curvature:
        raise ValueError(
            f"inner_loss: estimator {estimator.name!r} is an inner loss of its own; "
            "leave inner_loss out, or use estimator='plain' to differentiate your loss "
            "as it is"
        )
    return given


def sampling_term_of(
    estimator: Estimator, inner_loss: Loss, outer_loss: Loss
) -> SamplingTerm | None:
    """The sampling term of an estimator, for losses that are checked to fit it.

    Raises:
        ValueError: if a loss is none of those in ``losses``, if the inner loss already
            estimates what the term does, or if the outer one has other units.
    """
    if estimator.sampling_term is None:
        return None
    label = f"estimator {estimator.name!r}"
    if not isinstance(inner_loss, AdvantageLoss):
        raise ValueError(f"inner_loss: {label} needs losses.policy_gradient, or none")
    if inner_loss.has_sampling_curvature:
        raise ValueError(
            f"inner_loss: {label} adds how the sample depends on the params, and the "
            "second derivative of this loss (DiCE, likelihood ratio) estimates it too: "
            "it would count twice. Use losses.policy_gradient, or leave inner_loss out"
        )
    if not isinstance(outer_loss, AdvantageLoss):
        raise ValueError(f"outer_loss: {label} needs one of jaxmeta.losses, or none")
    if outer_loss.average != "episode" or outer_loss.advantage.normalize:
        raise ValueError(
            f"outer_loss: {label} weighs sums of log-probabilities by returns, so the "
            "outer loss must be in units of the return: average='episode', and an "
            "advantage with normalize=False"
        )
    return estimator.sampling_term(inner_loss, outer_loss)
