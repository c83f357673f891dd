using System.IO;

namespace Quietus.Cli.Reports;

/// <summary>Where <see cref="TextTable"/> writes Markdown instead of columns.</summary>
internal sealed class MarkdownWriter(Stream stream) : StreamWriter(stream, leaveOpen: true);
