"""The table of methods in the project's README."""

from sections import between, read, table

from jaxmeta import references

# What adapts, and how that is meta-learned.
METHODS = {
    "maml": (
        "MAML, FOMAML (Finn et al., 2017)",
        "all params; any optax optimizer, a policy-gradient or a clipped outer loss",
    ),
    "maml_trpo": (
        "MAML-TRPO (Finn et al., 2017)",
        "all params; a trust region as outer step",
    ),
    "promp": (
        "ProMP (Rothfuss et al., 2019)",
        "all params; clipped epochs, adaptive KL penalty before adaptation",
    ),
    "emaml": (
        "E-MAML (Stadie et al., 2018)",
        "all params; exploration is credited for the adaptation it allows",
    ),
    "meta_sgd": (
        "Meta-SGD (Li et al., 2017)",
        "all params, with a learned rate for each",
    ),
    "anil": ("ANIL (Raghu et al., 2020)", "the last layer"),
    "cavia": ("CAVIA (Zintgraf et al., 2019)", "a context input"),
    "reptile": (
        "Reptile (Nichol et al., 2018)",
        "all params; moves towards the adapted ones",
    ),
    "imaml": (
        "implicit MAML (Rajeswaran et al., 2019)",
        "all params; differentiates the minimum, not the path",
    ),
    "es_maml": (
        "ES-MAML (Song et al., 2020)",
        "all params; evolution strategies, antithetic",
    ),
    "rl2": (
        "RL² (Duan et al., 2016)",
        "the memory, over the episodes of a trial; PPO or V-trace",
    ),
    "varibad": (
        "VariBAD (Zintgraf et al., 2020)",
        "a belief about the task, inferred step by step from a trial; variational "
        "inference beside PPO",
    ),
    "pearl": (
        "PEARL (Rakelly et al., 2019)",
        "the posterior of a latent, drawn anew after each trajectory; soft "
        "actor-critic on a replay of tasks",
    ),
    "metagradient": (
        "meta-gradients (Xu et al., 2018), bootstrapped (Flennerhag et al., 2022)",
        "the discount, lambda, rates and weights of agents that live on; an outer "
        "critic keeps them from short sight",
    ),
    "lpg": (
        "LPG (Oh et al., 2020)",
        "a learning rule: what agents should do and predict; any network, any "
        "environment",
    ),
    "learned_optimizer": (
        "OPEN (Goldie et al., 2024)",
        "an optimizer: how far each weight of an agent moves; evolution strategies, "
        "persistent ones too",
    ),
    "learned_drift": (
        "LPO (Lu et al., 2022)",
        "an objective: what holds a policy back where PPO clips; evolution strategies",
    ),
    "multitask": (
        "PPO over tasks",
        "nothing: the reference that shows what adaptation is worth",
    ),
}


def _row(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _curve(name: str) -> str:
    """The adaptation curve of a recipe, over its seeds."""
    return _row(read(name)["adaptation_curve"]["mean"])


def _published(name: str) -> str:
    (values,) = read(name)["published"].values()
    return _row(values)


def _on_navigation(method: str) -> str:
    return between(read("methods")["methods"][method], 1)


def _regret(name: str) -> str:
    """Of agents that live by a rule, beside the known ones it was compared with."""
    regret = read(f"{name}_regret")["regret"]
    known = [
        f"{kind} {regret[kind]['end']['mean']:.2f}"
        for kind in ("A2C", "PPO")
        if kind in regret
    ]
    return f"{regret['learned rule']['end']['mean']:.2f} ({', '.join(known)})"


def measured() -> dict[str, str]:
    """What each method came to, beside what was published or is possible."""
    bandit = read("rl2_bandit_10")["settings"][0]["rl2"]
    corners = read("exploration")
    explored = corners["estimators"]["emaml"]["mean"]
    shots = read("sinusoids")["results"]["metasgd-sinusoid 5 shots"]
    chain = read("discounting_chain")["methods"]["meta-gradients, with outer critic"]
    pearl = read("semicircle")["methods"]["PEARL"]
    possible = read("varibad_gridnavi")["optimum"]
    cheetahs = read("locomotion_halfcheetah_direction")["tests"][-1]["curve"]
    steps = "navigation after 0 to 3 gradient steps: "
    one_step = "navigation after one step, 8 M environment steps: "
    regret = "regret in held-out grids: "
    return {
        "maml": f"{steps}**{_curve('maml_navigation2d')}** (published "
        f"{_published('maml_navigation2d')})",
        "maml_trpo": f"{steps}{_curve('maml_trpo_navigation2d')}; half-cheetah "
        f"forwards or backwards, 0 and 1 steps: **{_row(cheetahs[:2])}** "
        "(2 seeds of the better of two settings; published -50.70, 293.20)",
        "promp": steps + _curve("promp_navigation2d"),
        "emaml": f"corners before and after one step: {_row(explored)} of "
        f"{corners['optimum'][-1]:.0f}",
        "meta_sgd": "sinusoids, error after one step of 5 shots: "
        f"{-shots['mean'][1]:.2f} (published {shots['published_error']:.2f})",
        "anil": steps + _curve("anil_navigation2d"),
        "cavia": steps + _curve("cavia_navigation2d"),
        "reptile": one_step + _on_navigation("Reptile"),
        "imaml": one_step + _on_navigation("implicit MAML"),
        "es_maml": one_step + _on_navigation("ES-MAML"),
        "rl2": f"ten pulls of five arms: **{bandit['total']['mean']:.2f}** of "
        f"{bandit['optimum'][0]:.2f}, the exact optimum (published "
        f"{bandit['published']['RL^2'][0]:.1f})",
        "varibad": f"GridNavi, each episode: **{_curve('varibad_gridnavi')}** of "
        f"{_row(possible)}, the exact optimum",
        "pearl": f"half circle, third trajectory: {pearl['mean'][2]:.2f}; told the "
        f"goal, {references.semicircle_oracle():.2f}",
        "metagradient": f"DiscountingChain: {chain['return']['mean']:.3f} (published "
        f"{chain['published']['with outer critic'][0]:.3f})",
        "lpg": regret + _regret("lpg_gridworld"),
        "learned_optimizer": regret + _regret("open_gridworld"),
        "learned_drift": regret + _regret("dpo_drift"),
        "multitask": "",
    }


def methods() -> str:
    """Each method, its paper, and what was measured of it."""
    found = measured()
    header = ["", "method", "what adapts, and how it is meta-learned", "measured"]
    return table(
        header,
        [
            [f"`jm.{name}`", paper, adapts, found[name]]
            for name, (paper, adapts) in METHODS.items()
        ],
    )
