using System;
using System.IO;
using System.Net;
using System.Text;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Reports;

/// <summary>The page that all reports are: one HTML file without script, font or network.</summary>
internal static class HtmlPage
{
    private const string Style = """
        :root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --paper: #ffffff;
          --panel: #f6f8fa; --kill: #0b6bcb; --unmap: #b35900; --good: #1a7f37; --bad: #cf222e;
          --c0: #0b6bcb; --c1: #b35900; --c2: #1a7f37; --c3: #8250df; --c4: #b0256b; --c5: #57606a;
          --c6: #00767c; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #30363d;
          --paper: #0d1117; --panel: #161b22; --kill: #58a6ff; --unmap: #f0a04b; --good: #3fb950; --bad: #f85149;
          --c0: #58a6ff; --c1: #f0a04b; --c2: #3fb950; --c3: #bc8cff; --c4: #ff7bb0; --c5: #9198a1;
          --c6: #39c5cf; } }
        body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 74rem; background: var(--paper);
          color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
        h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.2rem; margin: 2.6rem 0 .5rem; }
        h3 { font-size: 1rem; margin: 1.8rem 0 .3rem; color: var(--soft); font-weight: 600; }
        p { max-width: 48rem; } .soft { color: var(--soft); } .lead { font-size: 1.1rem; }
        svg { display: block; width: 100%; height: auto; margin: .3rem 0 1rem; }
        svg text { fill: var(--ink); font: 13px system-ui, sans-serif; paint-order: stroke; stroke: var(--paper);
          stroke-width: 3px; } svg .on { stroke: none; } svg .soft { fill: var(--soft); }
        svg .axis { stroke: var(--ink); } svg .on { fill: var(--paper); font-weight: 600; }
        svg .s0, svg .p0 { fill: var(--c0); } svg .s1, svg .p1 { fill: var(--c1); }
        svg .s2, svg .p2 { fill: var(--c2); }
        svg .s3, svg .p3 { fill: var(--c3); } svg .s4, svg .p4 { fill: var(--c4); } svg .s5 { fill: var(--c5); }
        svg .s6 { fill: var(--c6); }
        svg .low { fill: var(--c0); } svg .high { fill: var(--c1); } svg .part { stroke: var(--paper); }
        svg .line { fill: none; stroke-width: 2.2; } svg .line.s0 { stroke: var(--c0); fill: none; }
        svg .line.s1 { stroke: var(--c1); fill: none; } svg .line.s2 { stroke: var(--c2); fill: none; }
        svg .line.s3 { stroke: var(--c3); fill: none; } svg .line.s4 { stroke: var(--c4); fill: none; }
        svg .line.s5 { stroke: var(--c5); fill: none; } svg .line.s6 { stroke: var(--c6); fill: none; }
        .key .p0, .key .low { background: var(--c0); } .key .p1, .key .high { background: var(--c1); }
        .key .p2 { background: var(--c2); } .key .p3 { background: var(--c3); } .key .p4 { background: var(--c4); }
        svg .grid { stroke: var(--line); } svg .kill { fill: var(--kill); } svg .unmap { fill: var(--unmap); }
        .key span { display: inline-block; margin-right: 1.2rem; } .key i { display: inline-block; width: .8rem;
          height: .8rem; border-radius: 2px; margin-right: .4rem; vertical-align: -1px; }
        .scroll { overflow-x: auto; } .scroll svg { min-width: 44rem; } summary { cursor: pointer; margin: .5rem 0; }
        table { border-collapse: collapse; font-size: .75rem; width: 100%; }
        th, td { padding: .3rem .25rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
          font-variant-numeric: tabular-nums; }
        th { color: var(--soft); font-weight: 600; } .l { text-align: left; }
        pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem;
          overflow-x: auto; font-size: .85rem; } .met { color: var(--good); } .missed { color: var(--bad); }
        dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; font-size: .9rem; }
        dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
        @media (max-width: 40rem) { body { padding: 1rem .8rem 2rem; } h1 { font-size: 1.35rem; }
          dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } code { overflow-wrap: anywhere; }
          .key span { display: block; } table { width: max-content; }
          .scroll::before { content: "scrolls sideways \2192"; position: sticky; left: 0; font-size: .75rem;
            color: var(--soft); } }
        @media print { :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --paper: #fff;
            --panel: #fff; }
          body { max-width: none; padding: 0; font-size: 10pt; } h2, h3, .key { break-after: avoid; }
          svg, tr, dl { break-inside: avoid; } .scroll { overflow: visible; } .scroll::before { content: none; }
          .scroll svg { min-width: 0; }
          table { font-size: 5.7pt; } th { white-space: normal; }
          th, td { padding: .2rem .12rem; } details { display: none; }
          * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
        """;

    /// <summary>The whole document.</summary>
    /// <param name="title">What the report is about.</param>
    /// <param name="body">Writes what is in it.</param>
    public static string Make(string title, Action<StringBuilder> body)
    {
        var html = new StringBuilder();
        html.Append("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
            .Append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
            .Append("<title>Quietus: ").Append(Text(title)).Append("</title>\n<style>\n").Append(Style)
            .Append("\n</style>\n</head>\n<body>\n");
        body(html);
        html.Append("</body>\n</html>\n");
        return html.ToString();
    }

    /// <summary>The JSON document goes along, so that the file is all that has to be kept.</summary>
    public static void WriteData(StringBuilder html, Document document)
    {
        using var json = new MemoryStream();
        document.Write(json);
        WriteData(html, document.Schema, Encoding.UTF8.GetString(json.ToArray()));
    }

    /// <summary>The same of a document that was put together from others.</summary>
    public static void WriteData(StringBuilder html, string schema, string json) =>
        html.Append("<details><summary class=\"soft\">The same as JSON (")
            .Append(Text(schema)).Append(")</summary>\n<pre id=\"data\">")
            .Append(Text(json)).Append("</pre></details>\n");

    /// <summary>A table that scrolls by itself where the page is narrow.</summary>
    /// <param name="html">Where to.</param>
    /// <param name="titles">The columns; the first <paramref name="words"/> are words, the others figures.</param>
    /// <param name="words">See <paramref name="titles"/>.</param>
    /// <param name="rows">Cells as plain text.</param>
    public static void WriteTable(
        StringBuilder html, string[] titles, int words, System.Collections.Generic.IEnumerable<string[]> rows)
    {
        html.Append("<div class=\"scroll\"><table>\n<tr>");
        WriteCells(html, "th", titles, words);
        html.Append("</tr>\n");
        foreach (string[] row in rows)
        {
            html.Append("<tr>");
            WriteCells(html, "td", row, words);
            html.Append("</tr>\n");
        }

        html.Append("</table></div>\n");
    }

    /// <summary>Text as it may stand between tags and in attributes.</summary>
    public static string Text(string text) => WebUtility.HtmlEncode(text);

    private static void WriteCells(StringBuilder html, string tag, string[] cells, int words)
    {
        for (int i = 0; i < cells.Length; i++)
        {
            html.Append('<').Append(tag).Append(i < words ? " class=\"l\">" : ">").Append(Text(cells[i]))
                .Append("</").Append(tag).Append('>');
        }
    }
}
