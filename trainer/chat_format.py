"""The chat format of the models made here: Qwen3's, with the think block always empty."""

END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
THINK, END_THINK = "<think>", "</think>"
EMPTY_THINK = f"{THINK}\n\n{END_THINK}\n\n"
YES_TOKEN, NO_TOKEN = "YES", "NO"
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")  # as many options as a prompt may have

# What is between the generation marks is what the model is trained to say: the answer with its end, and not the think
# block, which the prompt brings along. So a training text begins with exactly what is served as the prompt.
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}"
    "{{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' }}"
    "{%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}"
    "{{- '\\n' }}"
    "{%- else %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
)
