"""Networks of adversarial models: published parameter counts, what a critic promises, and initial weights."""

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from tests.support.networks import GREY, MNIST, NETWORKS, RGB, SIDES, choose, parameters, thin, without_memory
from vaezoo.networks.code_critics import CodeCritic
from vaezoo.networks.critic import Critic, Encoder, RecognitionHead
from vaezoo.networks.generator import Generator
from vaezoo.networks.layers import Layer, Maxout

PUBLISHED = ["aae", "ali32", "ali64", "bigan", "infogan", "infovaegan28", "infovaegan32", "infovaegan64"]
PUBLISHED += ["vaegan28", "vaegan32", "vaegan64", "vaeganmlp"]
SMALL = (3, 32, 32)


def shape_for(network, channels=1):
    """Return images of the only size that a network takes, or small ones."""
    side = SIDES[network] or 32
    return (channels, side, side)


def linears(module):
    return [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]


def norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


@pytest.mark.parametrize(
    ("network", "shape", "params", "latents", "codes", "counts"),
    [
        ("vaegan64", RGB, 256, 128, 0, (18071360, 4693155, 10953857)),
        ("vaegan32", SMALL, 512, 256, 0, (5750848, 3005475, 4047873)),
        # ALI's last bias has a number for each pixel, where the published counts have one for each channel.
        ("ali32", SMALL, 128, 64, 64, (3118496, 978083 + 3 * (32 * 32 - 1), 2612033)),
        ("ali64", RGB, 512, 256, 256, (6794880, 11799107 + 3 * (64 * 64 - 1), 15191105)),
        ("infogan", MNIST, 12, 74, 0, (6558144 + 12 * 1025, 6652481, 6558144 + 1025)),
        ("infovaegan64", RGB, 30, 120, 20, (9973150, 4644099, 9963905)),
        ("infovaegan64", GREY, 30, 120, 20, (9971998, 4641793, 9962753)),
        ("infovaegan32", SMALL, 30, 120, 20, (3681822, 4352259, 3672577)),
        ("infovaegan28", MNIST, 14, 74, 12, (6558144 + 14 * 1025, 6652481, 6558144 + 12 * 1024 + 1025)),
        ("aae", MNIST, 8, 8, 0, (1794008, 1794784, 1787001)),
    ],
)
def test_parameter_counts(network, shape, params, latents, codes, counts):
    config = choose(network)
    with without_memory():
        encoder = instantiate(config.encoder)(shape, params)
        decoder = instantiate(config.decoder)(latents, shape)
        critic = instantiate(config.critic)(shape, condition=codes)
    assert tuple(map(parameters, (encoder, decoder, critic))) == counts


def test_parameter_counts_of_the_other_parts():
    with without_memory():
        assert (
            parameters(instantiate(choose("infovaegan64").decoder)(20, RGB)) == 3005699
        )  # the generator of codes alone
        assert parameters(instantiate(choose("infovaegan64").decoder)(20, GREY)) == 3003393
        assert parameters(instantiate(choose("infovaegan32").decoder)(20, SMALL)) == 2713859
        trunk = instantiate(choose("infogan").critic)(MNIST)
        assert (parameters(trunk.layers), parameters(trunk.head)) == (6558144, 1025)
        assert parameters(RecognitionHead(trunk.num_hidden, 12)) == 133004
        assert parameters(CodeCritic(8, hidden=[1000, 1000], logits=1, slope=0.0)) == 1011001


@pytest.mark.parametrize("network", PUBLISHED)
def test_gradients_reach_every_parameter_of_encoders_and_generators(network):
    """In evaluation: a batch normalisation that follows the batch takes away the biases before it."""
    torch.manual_seed(0)
    config, shape = thin(choose(network)), shape_for(network)
    encoder = instantiate(config.encoder)(shape, 6).eval()
    decoder = instantiate(config.decoder)(5, shape).eval()
    params, logits = encoder(torch.rand(3, *shape)), decoder(torch.randn(3, 5))
    assert params.shape == (3, 6)
    assert logits.shape == (3, *shape)
    (params.square().sum() + logits.square().sum()).backward()
    for module in (encoder, decoder):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("codes", [0, 3])
@pytest.mark.parametrize("network", NETWORKS)
def test_what_every_critic_promises(network, codes):
    torch.manual_seed(0)
    config, shape = thin(choose(network)), shape_for(network)
    critic = instantiate(config.critic)(shape, condition=codes, outputs=2).eval()
    x = torch.rand(3, *shape)
    u = torch.eye(3) if codes else None
    logits, hidden, features = critic(x, u), critic.hidden(x, u), critic.features(x)
    assert logits.shape == (3, 2)
    assert hidden.shape == (3, critic.num_hidden)
    torch.testing.assert_close(logits, critic.head(hidden))
    assert features.ndim == 2

    features.square().sum().backward()
    reached = {name for name, parameter in critic.named_parameters() if parameter.grad is not None}
    compared = config.critic.features
    own = critic.layers[compared - 1]
    assert own.linear.weight.grad is not None
    assert {int(name.split(".")[1]) for name in reached if name.startswith("layers")} == set(range(compared))
    assert all(p.grad is None for p in [*own.activation.parameters(), *critic.head.parameters()])
    assert all(name.startswith("layers") and "codes" not in name for name in reached)

    critic.zero_grad()
    logits.square().sum().backward()
    for name, parameter in critic.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("network", NETWORKS)
def test_codes_are_judged_with_the_image(network):
    config, shape = thin(choose(network)), shape_for(network)
    critic = instantiate(config.critic)(shape, condition=3).eval()
    x, u = torch.rand(2, *shape), torch.eye(3)[:2]
    assert (critic(x, u) != critic(x, u.flip(0))).all()
    with pytest.raises(ValueError, match="takes 3 numbers beside each image, got 0"):
        critic(x)
    with pytest.raises(ValueError, match="takes 0 numbers beside each image, got 3"):
        instantiate(config.critic)(shape)(x, u)


def test_features_are_the_published_layers_before_their_normalisation():
    for network, shape, size in [
        ("vaegan64", RGB, 256 * 64),
        ("vaegan32", SMALL, 192 * 64),
        ("vaegan28", MNIST, 12544),
    ]:
        with without_memory():
            assert instantiate(choose(network).critic)(shape).features(torch.rand(2, *shape)).shape == (2, size)
        critic = instantiate(thin(choose(network)).critic)(shape)
        *below, layer = critic.layers[: critic.compared]
        x = torch.rand(2, *shape)
        h = 2 * x - 1 if network != "vaegan28" else x
        for one in below:
            h = one(h)
        torch.testing.assert_close(critic.features(x), layer.linear(h).flatten(1))
    critic = instantiate(choose("vaeganmlp").critic)(MNIST)
    assert critic.features(torch.rand(2, *MNIST)).shape == (2, 1024)


def test_features_have_no_dropout():
    """Otherwise a perfect reconstruction would not be one."""
    critic = instantiate(thin(choose("ali32")).critic)(SMALL)
    x = torch.rand(2, *SMALL)
    torch.testing.assert_close(critic.features(x), critic.features(x))
    assert (critic(x) != critic(x)).any()
    critic.eval()
    torch.testing.assert_close(critic(x), critic(x))


def test_dropout_of_ali_is_before_every_layer():
    with without_memory():
        critic = instantiate(choose("ali32").critic)(SMALL, condition=64)
        assert critic.input_dropout.p == 0.2
        assert [layer.dropout.p for layer in [*critic.layers, *critic.code_layers]] == [0.5] * 9
        assert [layer.outputs for layer in critic.layers] == [16, 32, 64, 128, 256, 512, 512]  # halved by maxout
        assert critic.layers[5].linear.in_features + critic.layers[5].codes.in_features == 512


def test_maxout_takes_the_larger_of_two_neighbours():
    h = torch.tensor([[1.0, 3.0, -2.0, -5.0]])
    assert Maxout()(h).tolist() == [[3.0, -2.0]]
    assert Maxout()(h[:, :, None, None]).shape == (1, 2, 1, 1)


def test_joining_codes_is_a_linear_layer_of_both():
    layer = Layer(nn.Linear(5, 4), normed=False, condition=3)
    both = nn.Linear(8, 4)
    both.weight.data = torch.cat([layer.linear.weight, layer.codes.weight], dim=1).data
    both.bias.data = layer.linear.bias.data
    h, u = torch.randn(2, 5), torch.randn(2, 3)
    torch.testing.assert_close(layer.apply_linear(h, u), both(torch.cat([h, u], dim=1)))


def test_where_codes_join():
    with without_memory():
        assert [
            layer.codes is not None for layer in instantiate(choose("bigan").critic)(MNIST, condition=50).layers
        ] == [
            False,
            True,
        ]
        critic = instantiate(choose("infovaegan64").critic)(RGB, condition=20)
        assert [layer.codes is not None for layer in critic.layers] == [False] * 4 + [True]
        assert (
            instantiate(choose("ali64").encoder)(RGB, 10, condition=7).num_hidden == 512 + 7
        )  # the head, without a layer
        with pytest.raises(
            ValueError, match=r"joins=\[1\]: codes join fully connected layers, whose numbers begin at 2"
        ):
            Critic(MNIST, condition=3, convolutions=[[4, 4, 2]], hidden=[5], joins=[1])


@pytest.mark.parametrize("network", PUBLISHED)
def test_layers_are_normalised_as_published(network):
    config, shape = choose(network), shape_for(network)
    with without_memory():
        modules = [instantiate(config.encoder)(shape, 4), instantiate(config.decoder)(4, shape)]
        modules.append(instantiate(config.critic)(shape))
    assert {(norm.eps, norm.momentum) for module in modules for norm in norms(module)} <= {(1e-5, 0.1)}
    expected = {
        "aae": ([], 0, []),
        "ali32": ([1, 2, 3, 4, 5, 6], 6, []),
        "ali64": ([1, 2, 3, 4, 5], 5, [2, 3, 4, 5]),
        "bigan": ([2], 2, [2]),
        "infogan": ([2, 3], 3, [2, 3]),
        "infovaegan28": ([2, 3], 3, [2, 3]),
        "infovaegan32": ([1, 2, 3, 4], 5, [1, 2, 3, 4]),
        "infovaegan64": ([2, 3, 4], 6, [2, 3, 4]),
        "vaegan28": ([], 0, [2, 3, 4]),
        "vaegan32": ([1, 2, 3, 4], 4, [2, 3, 4, 5]),
        "vaegan64": ([1, 2, 3, 4], 4, [2, 3, 4, 5]),
        "vaeganmlp": ([1, 2], 2, [1, 2]),
    }[network]
    numbers = [
        [number for number, layer in enumerate(getattr(module, "layers", ()), start=1) if norms(layer)]
        for module in (modules[0], modules[2])
    ]
    assert (numbers[0], len(norms(modules[1])), numbers[1]) == expected


def test_biases_before_normalisation_go_where_the_authors_have_none():
    with without_memory():
        encoder = instantiate(choose("vaegan64").encoder)(RGB, 4)
        assert [layer.linear.bias is None for layer in encoder.layers] == [True] * 4
        critic = instantiate(choose("vaegan64").critic)(RGB)
        assert [layer.linear.bias is None for layer in critic.layers] == [False] + [True] * 4
        assert all(layer.linear.bias is not None for layer in instantiate(choose("infogan").critic)(MNIST).layers)
        assert not any(norm.affine for norm in norms(instantiate(choose("bigan").critic)(MNIST)))


@pytest.mark.parametrize(
    ("network", "shape", "std", "bn_std"),
    [("infogan", MNIST, 0.02, 0.02), ("infovaegan32", SMALL, 0.02, 0.0), ("ali32", SMALL, 0.01, 0.0)],
)
def test_initial_weights_are_the_published_ones(network, shape, std, bn_std):
    torch.manual_seed(0)
    config = choose(network)
    for module in (
        instantiate(config.encoder)(shape, 30),
        instantiate(config.decoder)(70, shape),
        instantiate(config.critic)(shape, condition=70),
    ):
        for layer in linears(module):
            if layer.weight.numel() > 10000:
                assert layer.weight.std().item() == pytest.approx(std, rel=0.03)
                assert abs(layer.weight.mean().item()) < 0.05 * std
            assert layer.bias is None or not layer.bias.any()
        for norm in norms(module):
            assert norm.weight.mean().item() == pytest.approx(1.0, abs=0.01)
            assert norm.weight.std().item() == pytest.approx(bn_std, rel=0.25)
            assert not norm.bias.any()


def test_generators_end_in_one_layer_without_squashing():
    """The logits are linear in the last layer's weights: no sigmoid, no tanh."""
    for network in PUBLISHED:
        shape = shape_for(network)
        decoder = instantiate(thin(choose(network)).decoder)(4, shape).eval()
        z = torch.randn(2, 4)
        with torch.no_grad():
            before = decoder(z)
            for parameter in linears(decoder)[-1].parameters():
                parameter *= 1024  # which rounds nothing
            assert (decoder(z) == 1024 * before).all()


def test_ali_starts_at_a_picture_of_its_own_for_each_pixel():
    decoder = instantiate(thin(choose("ali32")).decoder)(64, SMALL).eval()
    picture = torch.randn(SMALL)
    z = torch.randn(2, 64)
    with torch.no_grad():
        before = decoder(z)
        decoder[-1].bias.copy_(picture)
        torch.testing.assert_close(decoder(z), before + picture)


def test_centred_networks_see_images_between_minus_one_and_one():
    options = {"convolutions": [[4, 4, 2]], "hidden": [5]}
    centred = Encoder(MNIST, 3, centred=True, **options)
    plain = Encoder(MNIST, 3, **options)
    plain.load_state_dict(centred.state_dict())
    x = torch.rand(2, *MNIST)
    torch.testing.assert_close(centred(x), plain(2 * x - 1))
    torch.testing.assert_close(centred.features(x), plain.features(2 * x - 1))


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_padded_convolutions_change_sides_by_their_stride(kernel):
    shape = (2, 24, 16)
    critic = Critic(shape, convolutions=[[3, kernel, 2], [4, kernel, 2]])
    assert critic.num_hidden == 4 * 6 * 4
    assert critic(torch.rand(2, *shape)).shape == (2, 1)
    generator = Generator(5, shape, bottom=6, convolutions=[[4, kernel, 2]], last=[kernel, 2])
    assert generator(torch.rand(2, 5)).shape == (2, *shape)


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        ("ali32", (3, 64, 64), "takes 32x32 images alone, got 64x64"),
        ("ali32", (3, 32, 36), "takes 32x32 images alone, got 32x36"),
        ("ali64", (3, 32, 32), "takes 64x64 images alone, got 32x32"),
        ("vaegan64", (3, 28, 28), "needs image sides divisible by 8, got 28x28"),
        ("infogan", (1, 30, 28), "needs image sides divisible by 4, got 30x28"),
    ],
)
def test_images_of_another_size_are_refused(network, shape, message):
    config = choose(network)
    for build in (
        lambda: instantiate(config.encoder)(shape, 4),
        lambda: instantiate(config.decoder)(4, shape),
        lambda: instantiate(config.critic)(shape),
    ):
        with pytest.raises(ValueError, match=message):
            build()


def test_infovaegan_needs_sides_that_all_its_networks_take():
    with pytest.raises(ValueError, match="divisible by 16, got 24x24"):
        instantiate(choose("infovaegan64").encoder)((3, 24, 24), 4)


def test_code_critic_sees_noise_in_training_only():
    critic = CodeCritic(4, hidden=[6, 6], logits=1, slope=0.0, noise=0.3)
    z = torch.zeros(2000, 4)
    inputs = []
    critic.layers.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    assert critic(z).shape == (2000, 1)
    critic.eval()(z)
    assert inputs[0].std().item() == pytest.approx(0.3, rel=0.05)
    assert not inputs[1].any()


def test_code_critic_without_noise_draws_nothing():
    """FactorVAE's stream of random numbers stays as it was."""
    critic = CodeCritic(4, hidden=[6])
    state = torch.get_rng_state()
    critic(torch.zeros(3, 4))
    assert (torch.get_rng_state() == state).all()


def test_code_critic_can_have_relu_and_small_initial_weights():
    torch.manual_seed(0)
    critic = CodeCritic(8, hidden=[1000, 1000], logits=1, slope=0.0, std=0.01)
    assert critic.layers[2].weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not critic.layers[2].bias.any()
    torch.testing.assert_close(critic.layers[1](torch.tensor([-2.0, 3.0])), torch.tensor([0.0, 3.0]))


def test_a_second_head_shares_the_trunk_of_a_critic():
    critic = instantiate(thin(choose("infogan")).critic)(MNIST)
    head = RecognitionHead(critic.num_hidden, 12)
    logits = head(critic.hidden(torch.rand(4, *MNIST)))
    assert logits.shape == (4, 12)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in critic.layers.parameters())
    assert all(parameter.grad is None for parameter in critic.head.parameters())
