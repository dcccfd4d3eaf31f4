using System.Text;

namespace C10kServer.Benchmark;

/// <summary>The results as Markdown. What is added is printed at once.</summary>
internal sealed class Report
{
    private readonly StringBuilder _text = new();

    internal void Heading(int level, string text) => Add($"{new string('#', level)} {text}");

    internal void Paragraph(string text) => Add(text);

    /// <summary>A table whose first column is text and whose others are figures.</summary>
    internal void Table(IReadOnlyList<string> columns, IEnumerable<IReadOnlyList<string>> rows)
    {
        string[][] cells = [.. rows.Prepend(columns).Select(static row => row.Select(Escape).ToArray())];
        int[] widths = [.. columns.Select((_, i) => cells.Max(row => row[i].Length))];
        string[] rule = [.. widths.Select(static (width, i) => i == 0 ? Dashes(width) : $"{Dashes(Math.Max(1, width - 1))}:")];
        Add(string.Join('\n', cells.Take(1).Append(rule).Concat(cells.Skip(1)).Select(Line)));

        string Line(string[] row) =>
            $"| {string.Join(" | ", row.Select((cell, i) => i == 0 ? cell.PadRight(widths[i]) : cell.PadLeft(widths[i])))} |";
    }

    internal void Save(string path) => File.WriteAllText(path, _text.ToString().TrimEnd() + "\n");

    /// <summary>Says on standard error what is being done.</summary>
    internal static void Progress(string text) => Console.Error.WriteLine(text);

    private static string Dashes(int count) => new('-', count);

    private static string Escape(string cell) => cell.Replace("|", "\\|", StringComparison.Ordinal);

    private void Add(string block)
    {
        _text.Append(block).Append("\n\n");
        Console.WriteLine(block + "\n");
    }
}
