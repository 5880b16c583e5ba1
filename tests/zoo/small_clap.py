"""A small untrained CLAP of the published architecture, in the files that transformers publishes."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import ClapConfig, ClapModel

WORDS = ("a glass breaking", "the sound of a dog", "people talking", "silence")
"""The tokenizer's words; it spells others."""


def small_clap(seed: int = 0, **audio: object) -> ClapModel:
    """Make weights of a size that keeps both towers alive, in which every bias and every norm counts."""
    config = ClapConfig(
        text_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "vocab_size": 300,
            "max_position_embeddings": 40,
        },
        audio_config={
            "patch_embeds_hidden_size": 8,
            "depths": [2, 1],
            "num_attention_heads": [2, 4],
            "hidden_size": 16,
            **audio,
        },
        projection_dim=12,
    )
    torch.manual_seed(seed)
    model = ClapModel(config).eval()
    for name, value in model.named_parameters():
        if value.ndim == 2:
            value.data = torch.randn_like(value) / value.shape[1] ** 0.5
        elif value.ndim == 1:
            value.data += 0.2 * torch.randn_like(value)
        if name.endswith("bias_table"):
            value.data = torch.randn_like(value)
    norm = model.audio_model.audio_encoder.batch_norm
    norm.running_mean.normal_(-30, 5)
    norm.running_var.uniform_(100, 400)
    return model


def publish(model: ClapModel, folder: Path) -> Path:
    """Write the weights, the configuration and a tokenizer like RoBERTa's; return the file of the weights."""
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "model.safetensors"
