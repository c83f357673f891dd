using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using Quietus.Cli.Terminals;

namespace Quietus.Cli.Reports;

/// <summary>A column of a table for people.</summary>
/// <param name="Title">What stands above it.</param>
/// <param name="Width">In characters; a longer cell pushes the rest to the right.</param>
/// <param name="Left">Whether it is flush left, as words are, or right, as figures.</param>
/// <param name="Text">A row's cell.</param>
internal sealed record TextColumn<TRow>(string Title, int Width, bool Left, Func<TRow, string> Text);

/// <summary>Tables and text for people: no line is longer than 80 columns, so that nothing wraps anywhere.</summary>
internal static class TextTable
{
    /// <summary>The widest line.</summary>
    public const int Width = 80;

    /// <summary>Writes titles, rules and rows.</summary>
    public static void Write<TRow>(
        TextWriter writer, IReadOnlyList<TextColumn<TRow>> columns, IEnumerable<TRow> rows)
    {
        writer.WriteLine(Line(columns, column => column.Title));
        writer.WriteLine(Line(columns, column => new string('-', column.Width)));
        foreach (TRow row in rows)
        {
            writer.WriteLine(Line(columns, column => column.Text(row)));
        }
    }

    /// <summary>Writes a paragraph that is less important than the table above it.</summary>
    public static void WriteNote(TextWriter writer, string text)
    {
        foreach (string line in Wrap(text))
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
    public static IEnumerable<string> Wrap(string text, int width = Width)
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
