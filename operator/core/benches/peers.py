"""Times the same edit as conf.rs with the Python libraries of pcs and crmsh, in this process.

Takes the folder with the files that conf.rs left; prints `PEER SIZE MICROSECONDS` a line: the median.
Each library is used as its own commands use it: bytes in, bytes out, no file and no process in between.
"""

import re
import statistics
import sys
import time
from pathlib import Path

from crmsh import corosync as crmsh
from pcs.lib.corosync import config_facade, config_parser

SIZES = ["3x2", "16x2", "32x2", "64x2", "64x8"]
SECONDS_PER_SIZE = 1.0


def with_pcs(data, link, addresses):
    config = config_facade.ConfigFacade(config_parser.Parser.parse(data))
    config.add_link(addresses, {"linknumber": link})
    totem = config.config.get_sections("totem")[0]
    version = int(totem.get_attribute_value("config_version"))
    totem.set_attribute("config_version", str(version + 1))
    return config_parser.Exporter.export(config.config)


def with_crmsh(data, link, addresses):
    parser = crmsh.Parser(data.decode())
    key = f"ring{link}_addr"
    tokens, name = [], None
    # Its own Parser.add only reaches the first node; this is the loop that it would take, in one pass.
    for token in parser._tokens:
        if token.path == "nodelist.node.name":
            name = token.value
        if token.token == crmsh._tEND and name is not None:
            tokens += crmsh.make_value("nodelist.node." + key, addresses[name])
            name = None
        tokens.append(token)
    parser._tokens = tokens
    number = crmsh.make_value("totem.interface.linknumber", link)
    parser.add("totem", crmsh.make_section("totem.interface", number))
    parser.set("totem.config_version", str(int(parser.get("totem.config_version")) + 1))
    return parser.to_string().encode()


def check(peer, data, edited, link, nodes):
    """What was timed must be the edit that conf.rs makes."""
    text = edited.decode()
    added = len(re.findall(rf"\bring{link}_addr:", text))
    version = re.search(r"config_version: (\d+)", text).group(1)
    old = re.search(rb"config_version: (\d+)", data).group(1)
    # pcs writes no interface section for a link without options; that leaves it less to do.
    if added != nodes or int(version) != int(old) + 1:
        sys.exit(f"{peer} did not make the edit: {added} addresses, version {version}\n{text}")


def main():
    folder = Path(sys.argv[1])
    for size in SIZES:
        nodes, links = map(int, size.split("x"))
        link = str(links - 1)
        data = (folder / f"{size}.conf").read_bytes()
        addresses = {f"node{n}": f"10.{link}.0.{n}" for n in range(1, nodes + 1)}
        for peer, edit in (("pcs", with_pcs), ("crmsh", with_crmsh)):
            check(peer, data, edit(data, link, addresses), link, nodes)
            times, end = [], time.perf_counter() + SECONDS_PER_SIZE
            while time.perf_counter() < end:
                began = time.perf_counter()
                edit(data, link, addresses)
                times.append(time.perf_counter() - began)
            print(f"{peer} {size} {statistics.median(times) * 1e6:.2f}", flush=True)


main()
