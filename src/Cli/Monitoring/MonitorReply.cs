using System.Collections.Generic;

namespace Quietus.Cli.Monitoring;

/// <summary>The answer to a command.</summary>
/// <param name="Items">The lines before the last, without their dash.</param>
/// <param name="Final">The line that starts with <c>ok</c>.</param>
internal sealed record MonitorReply(IReadOnlyList<KeyValueLine> Items, KeyValueLine Final);
