import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from golden.accuracy import integer_logits
from golden.chat_template import Message, conversation_ids
from golden.errors import WeftError
from golden.quantize import Options, quantize
from golden.reference import forward, sequence_logits
from golden.tokenizer import WordTokenizer, tokenizer_for
from golden.zoo.huggingface import file_name, load
from tests.llama import BASE, CONFIGS, halves, logits, random_llama

TOKENS = [3, 0, 10, 1, 1, 7, 3, 9]
FAMILY = [name for name in CONFIGS if name != "not gated"]


def options(c):
    """``config.json`` of a model."""
    return {
        "model_type": "llama",
        "num_hidden_layers": c.n_layer,
        "num_attention_heads": c.n_head,
        "num_key_value_heads": c.kv_heads,
        "hidden_size": c.d_model,
        "intermediate_size": c.d_ff,
        "vocab_size": c.n_vocab,
        "max_position_embeddings": c.n_ctx,
        "rms_norm_eps": c.norm_eps,
        "rope_theta": c.rope_theta,
        "rope_scaling": None,
        "tie_word_embeddings": c.tied_head,
        "bos_token_id": 1,
        "eos_token_id": [2, 3],
    }


def tensors(checkpoint):
    """Arrays by their names in such files: rows of q and k in halves."""
    c, found = checkpoint.config, {}
    for name, values in checkpoint.tensors.items():
        if "attn_wq" in name or "attn_wk" in name:
            values = halves(values, c.n_head if "attn_wq" in name else c.kv_heads)
        found[file_name(name)] = np.ascontiguousarray(values)
    return found


def write(folder, config=BASE, change=lambda options, tensors: None):
    """A random model as a folder; ``change`` may spoil what is written."""
    folder.mkdir(exist_ok=True)
    source = random_llama(config)
    told, arrays = options(config), tensors(source)
    change(told, arrays)
    (folder / "config.json").write_text(json.dumps(told))
    safetensors.numpy.save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize("name", ["some biases", "all biases"])
@pytest.mark.parametrize("scales", ["matrix", "row"])
def test_a_folder_with_biases_has_an_integer_model(tmp_path, name, scales):
    c = load(write(tmp_path / "small", CONFIGS[name]))
    expected = forward(c, TOKENS)
    found = integer_logits(quantize(c, Options(scales=scales)), TOKENS, set())
    assert np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < 0.03


@pytest.mark.parametrize("name", FAMILY)
def test_a_folder_is_its_model(tmp_path, name):
    source = random_llama(CONFIGS[name])
    c = load(write(tmp_path / "small", CONFIGS[name]))
    assert c.config == replace(source.config, n_kv_head=source.config.kv_heads)
    assert c.name == "small"
    for tensor in source.tensors:
        np.testing.assert_array_equal(c.tensors[tensor], source.tensors[tensor], strict=True)
    np.testing.assert_allclose(forward(c, TOKENS), logits(source, TOKENS), rtol=1e-4, atol=1e-4)


def test_the_names_are_those_of_the_family():
    assert file_name("layer3.attn_wq") == "model.layers.3.self_attn.q_proj.weight"
    assert file_name("layer3.mlp_gate.bias") == "model.layers.3.mlp.gate_proj.bias"
    assert file_name("layer0.norm_mlp") == "model.layers.0.post_attention_layernorm.weight"
    assert [file_name(n) for n in ("wte", "lm_head", "norm_head")] == [
        "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight",
    ]  # fmt: skip


def test_rows_that_are_not_moved_give_other_logits(tmp_path):
    def unmoved(options, tensors):
        tensors |= {file_name(n): t for n, t in random_llama(BASE).tensors.items()}

    right, wrong = load(write(tmp_path / "a")), load(write(tmp_path / "b", change=unmoved))
    assert abs(forward(right, TOKENS) - forward(wrong, TOKENS)).max() > 1e-2


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_half_precision_is_exact(tmp_path, kind):
    source = tensors(random_llama(BASE))
    if kind == "F16":
        stored = {name: t.astype(np.float16) for name, t in source.items()}
        expected = {name: t.astype(np.float32) for name, t in stored.items()}
    else:
        stored = {name: (t.view(np.uint32) >> 16).astype(np.uint16) for name, t in source.items()}
        expected = {n: (t.view(np.uint32) & 0xFFFF0000).view(np.float32) for n, t in source.items()}
    folder = write(tmp_path / "x", change=lambda _, tensors: tensors.update(stored))
    if kind == "BF16":
        path = folder / "model.safetensors"
        content = path.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        header = content[8:end].replace(b'"U16"', b'"BF16"')
        path.write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
    c = load(folder)
    for name, values in c.tensors.items():
        if "attn_wq" not in name and "attn_wk" not in name:
            np.testing.assert_array_equal(values, expected[file_name(name)], strict=True)


def test_shards(tmp_path):
    folder = write(tmp_path / "x")
    whole = load(folder)
    content = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"model-{i % 2}.safetensors" for i, name in enumerate(content)}
    for file in set(places.values()):
        part = {name: content[name] for name in content if places[name] == file}
        safetensors.numpy.save_file(part, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert load(folder).digest == whole.digest
    safetensors.numpy.save_file(content, folder / "model-1.safetensors")
    with pytest.raises(WeftError, match=r"is there twice, once in model-1.safetensors"):
        load(folder)
    for bad in ({}, {"weight_map": {"a": "../x"}}, {"weight_map": {"a": 1}}, {"weight_map": []}):
        index.write_text(json.dumps(bad))
        with pytest.raises(WeftError, match="names no files beside it as its weight_map"):
            load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda o, t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].copy()}),
        lambda o, t: t.update(
            {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(3, np.float32)}
        ),
        lambda o, t: o.update(rope_parameters={"rope_theta": o.pop("rope_theta")}),
        lambda o, t: o.update(rope_scaling={"type": "default"}, head_dim=6, hidden_act="silu"),
        lambda o, t: [o.pop(key) for key in ("rope_scaling", "rope_theta")],
    ],
)
def test_other_ways_to_say_the_same(tmp_path, change):
    assert load(write(tmp_path / "b", change=change)).digest == load(write(tmp_path / "a")).digest


def test_a_flipped_bit_changes_the_logits(tmp_path):
    folder = write(tmp_path / "x")
    before, path = load(folder), folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x80
    path.write_bytes(content)
    after = load(folder)
    changed = [n for n in before.tensors if (before.tensors[n] != after.tensors[n]).any()]
    assert len(changed) == 1
    assert abs(sequence_logits(after, TOKENS) - sequence_logits(before, TOKENS)).max() > 1e-5


def test_the_tokenizer_comes_along(tmp_path):
    folder = write(tmp_path / "x")
    assert isinstance(tokenizer_for(load(folder)), WordTokenizer)
    library = Tokenizer(models.BPE({"a": 0, "Ġ": 1, "b": 2, "Ġa": 3}, [("Ġ", "a")]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    library.save(str(folder / "tokenizer.json"))
    c = load(folder / "model.safetensors")
    assert c.vocabulary[:6] == ("a", "Ġ", "b", "Ġa", "<unused 4>", "<unused 5>")
    made = tokenizer_for(c)
    assert (made.start, made.stop, made.ends) == (1, 2, (2, 3))
    assert made.encode("ab a") == [0, 2, 3]
    assert "".join(map(made.piece, [3, 2, 3])) == " ab a"  # though the library strips it
    for text, sentence in (
        ("{}", "tokenizer.json is no tokenizer"),
        ("[", "tokenizer.json is no JSON text of an object"),
        (library.to_str().replace('"Ġa":3', '"Ġa":11').replace('"Ġa": 3', '"Ġa":11'),
         "tokenizer.json has token 11; expected"),
    ):  # fmt: skip
        (folder / "tokenizer.json").write_text(text)
        with pytest.raises(WeftError, match=sentence):
            load(folder)


def test_the_chat_template_comes_along(tmp_path):
    folder = write(tmp_path / "x")
    library = Tokenizer(models.BPE({"a": 0, "b": 1, "c": 2}, []))
    library.add_special_tokens(["<b>", "<e>"])
    library.save(str(folder / "tokenizer.json"))
    assert (tokenizer_for(load(folder)).opens, tokenizer_for(load(folder)).template) == (True, None)
    source = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
    named = {"bos_token": {"content": "<b>"}, "eos_token": "<e>"}
    several = [{"name": "tools", "template": "x"}, {"name": "default", "template": source}]
    for options, ids in (
        ({"chat_template": source, **named}, [3, 0, 4]),
        ({"chat_template": several, **named}, [3, 0, 4]),
        ({"chat_template": source}, [1, 0, 2]),  # those of config.json
    ):
        (folder / "tokenizer_config.json").write_text(json.dumps(options))
        assert conversation_ids(tokenizer_for(load(folder)), [Message("user", "a")]) == ids
    (folder / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    made = tokenizer_for(load(folder))
    assert (made.opens, made.template) == (False, None)
    for text, sentence in (
        ('{"chat_template": 3}', "tokenizer_config.json: chat_template is '3'; expected text"),
        ('{"chat_template": ' + json.dumps("x" * 70_000) + "}", "template has 70,000 characters"),
        ("[", "tokenizer_config.json is no JSON text of an object"),
    ):
        (folder / "tokenizer_config.json").write_text(text)
        with pytest.raises(WeftError, match=sentence):
            load(folder)


Q = "model.layers.1.self_attn.q_proj.weight"


def option(**changes):
    return lambda options, tensors: options.update(changes)


def tensor(name, change):
    return lambda options, tensors: tensors.update({name: change(tensors.get(name))})


BAD = [
    (option(model_type="gpt2"), "config.json: model_type is 'gpt2'; expected 'llama'"),
    (option(hidden_act="gelu"), "config.json: hidden_act is 'gelu'; expected 'silu'"),
    (
        option(rope_scaling={"rope_type": "llama3"}),
        "the type of rope_scaling is 'llama3'; expected 'def",
    ),
    (option(rope_scaling=[1]), "rope_scaling is [1]; expected an object"),
    (option(rope_parameters={"rope_type": "yarn"}), "type of rope_parameters is 'yarn'"),
    (option(rope_scaling={"factor": 8}), "the factor of rope_scaling is 8; expected 1"),
    (option(head_dim=8), "config.json: head_dim is 8; expected 6"),
    (option(num_attention_heads=0), "num_attention_heads is 0; expected a whole number of at l"),
    (option(num_hidden_layers=1 << 40), "num_hidden_layers is 1,099,511,627,776; it has 20 ten"),
    (option(num_hidden_layers=3), "tensor model.layers.2.self_attn.q_proj.weight is missing"),
    (option(num_hidden_layers=1), "tensor model.layers.1.input_layernorm.weight is unexpected"),
    (option(hidden_size="24"), "config.json: hidden_size is '24'; expected a whole number"),
    (option(num_key_value_heads=3), "n_head 4 is not divisible by n_kv_head 3"),
    (option(rms_norm_eps=None), "config.json: rms_norm_eps is None; expected a number"),
    (option(rope_theta=10**400), "expected a number"),
    (option(rms_norm_eps=0), "norm_eps is 0.0; expected a positive number"),
    (option(eos_token_id=[2, "3"]), "eos_token_id is [2, '3']; expected 0 to 10"),
    (option(eos_token_id=11), "config.json: eos_token_id is 11; expected 0 to 10"),
    (option(tie_word_embeddings=False), "tensor lm_head.weight is missing"),
    (lambda o, t: t.pop(Q), f"tensor {Q} is missing"),
    (tensor("extra", lambda _: np.ones(3)), "tensor extra is unexpected"),
    (tensor("model.layers.1.mlp.up_proj.bias", lambda _: np.ones(20)), "up_proj.bias is unexpec"),
    (tensor(Q, lambda t: t[:-1].copy()), f"tensor {Q} has shape (23, 24); expected (24, 24)"),
    (tensor(Q, lambda t: t.astype(np.int8)), f"tensor {Q} has type I8; expected one of F32"),
    (tensor(Q, lambda t: t * np.float64(1e200)), "tensor layer1.attn_wq holds"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_bad_models(tmp_path, change, sentence):
    folder = write(tmp_path / "bad", change=change)
    if "eos" in sentence:
        Tokenizer(models.BPE({"a": 0}, [])).save(str(folder / "tokenizer.json"))
    assert sentence in refusal(folder)


def refusal(path):
    with pytest.raises(WeftError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
def test_truncated_weights(tmp_path, length):
    path = write(tmp_path / "x") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    assert "model.safetensors is damaged or no safetensors file" in refusal(tmp_path / "x")


def test_weights_that_promise_too_much(tmp_path):
    entry = {"dtype": "F32", "shape": [1 << 30, 1 << 10], "data_offsets": [0, 1 << 42]}
    header = json.dumps({"model.norm.weight": entry}).encode()
    path = write(tmp_path / "x") / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert "model.safetensors is damaged" in refusal(tmp_path / "x")


def test_missing_files(tmp_path):
    folder = write(tmp_path / "x")
    (folder / "model.safetensors").unlink()
    assert "expected a folder with config.json and model.safetensors" in refusal(folder)
    (folder / "config.json").write_text("[1]")
    assert "config.json is no JSON text of an object" in refusal(folder)
    with (folder / "config.json").open("wb") as file:
        file.truncate(1 << 30)
    assert "config.json has 1,073,741,824 bytes; expected a short text" in refusal(folder)
    (folder / "config.json").unlink()
    assert "No such file or directory" in refusal(folder)


def test_a_file_stands_for_its_folder(tmp_path):
    folder = write(tmp_path / "mine")
    assert load(folder / "model.safetensors").name == load(folder).name == "mine"
