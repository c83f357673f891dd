using System;
using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Quietus.Hypervisor.DeviceTrees;

namespace Quietus.Hypervisor.Tests.DeviceTrees;

/// <summary>Shows a device tree as source text, so that a test can pin it.</summary>
internal static class Decompiler
{
    public static string Show(ref FlatDeviceTree tree)
    {
        var text = new StringBuilder();
        Show(ref tree, tree.Root, 0, text);
        return text.ToString();
    }

    private static void Show(ref FlatDeviceTree tree, DeviceTreeNode node, int depth, StringBuilder text)
    {
        string indent = new(' ', depth * 2);
        string name = Encoding.ASCII.GetString(tree.Name(node));
        text.Append(indent).Append(name.Length == 0 ? "/" : name).Append(" {\n");
        int cursor = 0;
        while (tree.TryNextProperty(node, ref cursor, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value))
        {
            text.Append(indent).Append("  ").Append(Encoding.ASCII.GetString(key)).Append(Value(value)).Append('\n');
        }

        for (bool more = tree.TryFirstChild(node, out DeviceTreeNode child);
            more;
            more = tree.TryNextSibling(child, out child))
        {
            Show(ref tree, child, depth + 1, text);
        }

        text.Append(indent).Append("}\n");
    }

    private static string Value(ReadOnlySpan<byte> value)
    {
        if (value.Length == 0)
        {
            return string.Empty;
        }

        if (IsText(value))
        {
            string texts = Encoding.ASCII.GetString(value[..^1]);
            return " = \"" + texts.Replace("\0", "\", \"", StringComparison.Ordinal) + "\"";
        }

        var text = new StringBuilder(" = <");
        for (int i = 0; i + 4 <= value.Length; i += 4)
        {
            text.Append(i == 0 ? string.Empty : " ").Append(CultureInfo.InvariantCulture,
                $"0x{BinaryPrimitives.ReadUInt32BigEndian(value[i..]):x}");
        }

        return text.Append('>').ToString();
    }

    private static bool IsText(ReadOnlySpan<byte> value)
    {
        bool letters = false;
        for (int i = 0; i < value.Length - 1; i++)
        {
            if (value[i] == 0 && letters)
            {
                letters = false;
                continue;
            }

            if (value[i] is < 0x20 or > 0x7E)
            {
                return false;
            }

            letters = true;
        }

        return letters && value[^1] == 0;
    }
}
