"""What LlamaIndex's client makes of a server; for a Python that has requirements.txt.

    python client.py URL KEY MODEL

Prints one JSON object.
"""

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

url, key, model = sys.argv[1:]
asked = [ChatMessage(role="user", content="How many legs has a cat?")]
chat = OpenAILike(
    api_base=url, api_key=key, model=model, is_chat_model=True, context_window=2048, max_tokens=16
)
raw = OpenAILike(api_base=url, api_key=key, model=model, max_tokens=6, temperature=0)
print(
    json.dumps(
        {
            "reply": chat.chat(asked).message.content,
            "pieces": [piece.delta for piece in chat.stream_chat(asked)],
            "continued": raw.complete("1, 2, 3, 4,").text,
            "continued in pieces": [piece.delta for piece in raw.stream_complete("1, 2, 3, 4,")],
        }
    )
)
