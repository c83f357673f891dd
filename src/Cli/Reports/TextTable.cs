using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Reports;

/// <summary>A column of a table for people.</summary>
/// <param name="Title">What stands above it.</param>
/// <param name="Width">In characters; a longer cell pushes the rest to the right.</param>
/// <param name="Left">Whether it is flush left, as words are, or right, as figures.</param>
/// <param name="Text">A row's cell.</param>
internal sealed record TextColumn<TRow>(string Title, int Width, bool Left, Func<TRow, string> Text);

/// <summary>
/// Tables and text for people: no line is longer than 80 columns, so that nothing wraps anywhere. On a narrower
/// terminal a table's row becomes a paragraph, with a line for each column. A <see cref="MarkdownWriter"/> gets the
/// same as Markdown.
/// </summary>
internal static class TextTable
{
    /// <summary>The widest line.</summary>
    public static int Width => Math.Min(80, TerminalSize.Columns ?? 80);

    /// <summary>Writes titles, rules and rows.</summary>
    public static void Write<TRow>(
        TextWriter writer, IReadOnlyList<TextColumn<TRow>> columns, IEnumerable<TRow> rows)
    {
        if (writer is MarkdownWriter)
        {
            WriteMarkdown(writer, columns, rows);
            return;
        }

        if (columns.Sum(column => column.Width + 1) - 1 > Width)
        {
            WriteStacked(writer, columns, rows);
            return;
        }

        writer.WriteLine(Line(columns, column => column.Title));
        writer.WriteLine(Line(columns, column => new string('-', column.Width)));
        foreach (TRow row in rows)
        {
            writer.WriteLine(Line(columns, column => column.Text(row)));
        }
    }

    /// <summary>Writes what stands above a table.</summary>
    public static void WriteTitle(TextWriter writer, string text)
    {
        if (writer is MarkdownWriter)
        {
            writer.WriteLine("### " + text + "\n");
            return;
        }

        foreach (string line in Wrap(text, Width))
        {
            writer.WriteLine(Style.Bold(line));
        }
    }

    /// <summary>Writes a paragraph that is less important than the table above it.</summary>
    public static void WriteNote(TextWriter writer, string text)
    {
        if (writer is MarkdownWriter)
        {
            writer.WriteLine(text + "\n");
            return;
        }

        foreach (string line in Wrap(text, Width))
        {
            writer.WriteLine(Style.Dim(line));
        }
    }

    /// <summary>Writes a text behind a head, within <see cref="Width"/> columns; further lines begin below.</summary>
    public static void WriteHanging(TextWriter writer, string head, string text)
    {
        foreach (string line in Wrap(text, Width - head.Length))
        {
            writer.WriteLine(head + line);
            head = new string(' ', head.Length);
        }
    }

    /// <summary>The lines of a paragraph.</summary>
    public static IEnumerable<string> Wrap(string text, int width)
    {
        var line = new StringBuilder();
        foreach (string word in text.Split(' '))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > width)
            {
                yield return line.ToString();
                line.Clear();
            }

            line.Append(line.Length > 0 ? " " : string.Empty).Append(word);
        }

        yield return line.ToString();
    }

    private static void WriteMarkdown<TRow>(
        TextWriter writer, IReadOnlyList<TextColumn<TRow>> columns, IEnumerable<TRow> rows)
    {
        WriteCells(columns.Select(column => column.Title));
        WriteCells(columns.Select(column => column.Left ? "---" : "---:"));
        foreach (TRow row in rows)
        {
            WriteCells(columns.Select(column => column.Text(row)));
        }

        void WriteCells(IEnumerable<string> cells) => writer.WriteLine(
            "| " + string.Join(" | ", cells.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal))) + " |");
    }

    private static void WriteStacked<TRow>(
        TextWriter writer, IReadOnlyList<TextColumn<TRow>> columns, IEnumerable<TRow> rows)
    {
        int words = Math.Max(1, columns.TakeWhile(column => column.Left).Count());
        foreach (TRow row in rows)
        {
            writer.WriteLine(string.Join(' ', columns.Take(words).Select(column => column.Text(row))).TrimEnd());
            foreach (TextColumn<TRow> column in columns.Skip(words))
            {
                writer.WriteLine($"  {column.Title,-16} {column.Text(row).Trim(),17}");
            }
        }
    }

    private static string Line<TRow>(IReadOnlyList<TextColumn<TRow>> columns, Func<TextColumn<TRow>, string> text)
    {
        var line = new StringBuilder(Width);
        foreach (TextColumn<TRow> column in columns)
        {
            if (line.Length > 0)
            {
                line.Append(' ');
            }

            string cell = text(column);
            line.Append(column.Left ? cell.PadRight(column.Width) : cell.PadLeft(column.Width));
        }

        return line.ToString().TrimEnd();
    }
}
