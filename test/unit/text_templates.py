#!/usr/bin/env python3
"""Makes text_data/templates.json: what Jinja2, set up as transformers does it, makes of templates.

Run by hand, with the `jinja2` package.
"""
import json
import os

import jinja2
import jinja2.ext
import jinja2.sandbox

HERE = os.path.dirname(os.path.abspath(__file__))

MESSAGES = [
    {"role": "system", "content": "  Be brief. "},
    {"role": "user", "content": "Hi \u00e9\u4e2d \"quoted\"\nline two"},
    {"role": "assistant", "content": "Hello <b>"},
    {"role": "user", "content": "Bye"},
]

TEMPLATES = {
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
              "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
              "{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
              "{% set system_message = messages[0]['content'] %}{% else %}"
              "{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
              "{% for message in loop_messages %}"
              "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
              "{{ raise_exception('roles must alternate') }}{% endif %}"
              "{% if loop.index0 == 0 and system_message != false %}"
              "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
              "{% else %}{% set content = message['content'] %}{% endif %}"
              "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
              "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}"
              "{% endif %}{% endfor %}",
    "llama3": "{%- set ns = namespace(first=true, text='') -%}\n{{- bos_token }}\n"
              "{%- for message in messages %}\n    {%- if loop.first and message.role != 'tool' %}\n"
              "        {%- set ns.first = false %}\n    {%- endif %}\n"
              "    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ "
              "message['content'] | trim + '<|eot_id|>' }}\n    {%- set ns.text = ns.text ~ loop.index %}\n"
              "{%- endfor %}\n{%- if add_generation_prompt %}\n"
              "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n"
              "{{ ns.first }} {{ ns.text }}\n",
    "minimax": "{% for message in messages %}{% if message['role'] == 'system' %}"
               "{{ '<beginning_of_sentence>system ai_setting=assistant\\n' + message['content'] + "
               "'<end_of_sentence>\\n'}}{% elif message['role'] == 'user' %}"
               "{{ '<beginning_of_sentence>user name=user\\n' + message['content'] + '<end_of_sentence>\\n'}}"
               "{% elif message['role'] == 'assistant' %}{{ '<beginning_of_sentence>ai name=assistant\\n' }}"
               "{% generation %}{{ message['content'] + '<end_of_sentence>\\n' }}{% endgeneration %}"
               "{% endif %}{% endfor %}{% if add_generation_prompt %}"
               "{{ '<beginning_of_sentence>ai name=assistant\\n' }}{% endif %}",
    "blocks": "  {% if true %}\n  a\n    {% endif %}\n b {%- if false %} c {%- endif %}\n"
              "{# comment #}\n  {#- x -#}  d\n{%+ if true %}\n e\n{%+ endif +%}\nf\n\n",
    "values": "{{ none }} {{ true }} {{ 1 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2.0 }} {{ [1, 'a', none] }} "
              "{{ {'a': 1, 'b': [true]} }} {{ 1 + 2 * 3 }} {{ 'a' ~ 1 ~ none }} {{ missing }}| "
              "{{ 'x' if missing is defined else 'y' }} {{ missing | default('d') }} {{ '' | default('e', true) }}",
    "logic": "{{ 1 < 2 and 'b' > 'a' }} {{ 0 or 'z' }} {{ '' and 1 }} {{ not [] }} {{ 'a' in 'cab' }} "
             "{{ 'a' not in ['b'] }} {{ 2 in [1, 2] }} {{ 'role' in messages[0] }} {{ 1 == 1.0 }} {{ '1' == 1 }} "
             "{{ messages is iterable }} {{ messages[0] is mapping }} {{ 'a' is string }} {{ none is none }} "
             "{{ x is not defined }} {{ 3 is number }}",
    "filters": "{{ messages | length }} {{ '\u00e9\u00e9' | length }} {{ ' a ' | trim }}| {{ 'aB' | upper }} "
               "{{ 'aB' | lower }} {{ 'hello world' | capitalize }} {{ 'hello world' | title }} "
               "{{ [1, 2] | join('-') }} {{ [1, 2] | first }} {{ 'abc' | last }} {{ 'abcabc' | replace('b', 'x') }} "
               "{{ '12' | int }} {{ 12 | string }} {{ messages[1] | tojson }} "
               "{{ {'a': [1, {'b': 2.5}], 'c': {}} | tojson(indent=2) }}",
    "methods": "{{ ' a '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'a.b'.split('.') }}|{{ ' a  b '.split() }}|"
               "{{ 'abc'.startswith('ab') }}|{{ 'abc'.endswith('x') }}|{{ 'a'.upper() }}|"
               "{% for key, value in messages[0].items() %}{{ key }}={{ value }};{% endfor %}|"
               "{{ messages[0].get('nothing', 'd') }}|{{ 'a,b'.replace(',', ';') }}|{{ 'x'.join(['1', '2']) }}",
    "slices": "{{ 'hello'[1:3] }} {{ 'hello'[-1] }} {{ [1, 2, 3][:2] }} {{ [1, 2, 3][::-1] }} {{ [1, 2, 3][-2:] }} "
              "{{ (1, 2)[0] }} {{ messages[-1]['content'] }} {{ messages[-1].content }} {{ [1][5] }}|",
    "loops": "{% for i in range(3) %}{{ i }}{{ loop.last }}{% endfor %}|{% for i in [] %}x{% else %}none{% endfor %}|"
             "{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }} {% endfor %}|"
             "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}"
             "{{ i }}{% endfor %}|{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}|"
             "{% for a, b in [(1, 2), (3, 4)] %}{{ a + b }} {% endfor %}|{% set t %}in {{ x }}{% endset %}{{ t }}|"
             "{% for c in 'a\u00e9' %}[{{ c }}]{% endfor %}{{ range(1, 9, 3) | list }}",
}


class Generation(jinja2.ext.Extension):
    """The tag that transformers adds; it leaves the text alone."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


def refuse(text):
    raise jinja2.exceptions.TemplateError(text)


def main():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent)
    environment.globals["raise_exception"] = refuse
    cases = []
    for name, template in TEMPLATES.items():
        text = environment.from_string(template).render(
            messages=MESSAGES, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
        cases.append({"name": name, "template": template, "text": text})
    with open(os.path.join(HERE, "text_data", "templates.json"), "w") as file:
        json.dump({"messages": MESSAGES, "cases": cases}, file, indent=1)
        file.write("\n")


main()
