using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;

namespace Quietus.Oracle.Tests;

/// <summary>
/// A page of docs/ with parts that are made here, each between the comments <c>begin: NAME</c> and <c>end</c>. With
/// <c>QUIETUS_WRITE_DOCS=1</c> in the environment they are written; otherwise they are read, to be compared.
/// </summary>
internal sealed class Document(string name)
{
    private const string End = "<!-- end -->";

    private readonly string _path = Path.Combine(
        typeof(Document).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
            .Single(entry => entry.Key == "RepositoryRoot").Value!,
        "docs", name);

    public static bool IsWritten => Environment.GetEnvironmentVariable("QUIETUS_WRITE_DOCS") == "1";

    /// <summary>A part's lines.</summary>
    public IReadOnlyList<string> Read(string part)
    {
        (string[] lines, int from, int to) = Find(part);
        return lines[from..to];
    }

    /// <summary>Puts new lines where a part's old ones are.</summary>
    public void Write(string part, IEnumerable<string> text)
    {
        (string[] lines, int from, int to) = Find(part);
        File.WriteAllText(
            _path, string.Join('\n', [.. lines[..from], .. text, .. lines[to..]]), new UTF8Encoding(false));
    }

    private (string[] Lines, int From, int To) Find(string part)
    {
        string[] lines = File.ReadAllText(_path).Split('\n');
        int from = Array.IndexOf(lines, $"<!-- begin: {part} -->") + 1;
        int to = from == 0 ? -1 : Array.IndexOf(lines, End, from);
        return to < 0 ? throw new InvalidDataException($"{_path} has no part '{part}'") : (lines, from, to);
    }
}
