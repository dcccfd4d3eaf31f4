using System.Collections;
using System.Management.Automation;

namespace C10kServer.Scripting;

/// <summary>
/// Looks for a script block in a value that handlers are to get. A script block belongs to the runspace that it comes from: called in a handler
/// it would wait for that runspace's thread, which may never come.
/// </summary>
/// <remarks>
/// What is looked into: arrays, lists and other collections, hashtables, the properties and methods that a PSObject was given, and delegates that
/// were made of a script block. Not the properties of .NET objects, whose getters may do anything.
/// </remarks>
internal static class ScriptBlockSearch
{
    // Enough for whatever somebody writes, and an end for what has none.
    private const int MostObjects = 10_000;
    private const int MostLevels = 32;

    /// <summary>Where the first script block stands, as one would write it after the value's name: empty for the value itself. Null: there is none.</summary>
    internal static string? PathIn(object? value) => new Walk().Find(value, 0);

    private sealed class Walk
    {
        // By reference: a comparer of the user's is none of our business, and cycles end here.
        private readonly HashSet<object> _seen = new(ReferenceEqualityComparer.Instance);

        internal string? Find(object? value, int level)
        {
            // A [pscustomobject] is its wrapping: what is wrapped is one object for all of them.
            object? plain = value is PSObject { BaseObject: not PSCustomObject and var wrapped } ? wrapped : value;
            if (plain is ScriptBlock)
            {
                return "";
            }

            if (plain is null or string || plain.GetType().IsPrimitive || level > MostLevels || _seen.Count >= MostObjects || !_seen.Add(plain))
            {
                return null;
            }

            if (plain is ICollection { IsSynchronized: true } shared)
            {
                // Others may change it, and enumerating it does not take its lock.
                lock (shared.SyncRoot)
                {
                    return FindIn(plain, level);
                }
            }

            return FindIn(plain, level);
        }

        private string? FindIn(object plain, int level) =>
            FindInMembers(plain, level) ?? plain switch
            {
                Delegate { Target: { } target } when IsOfScriptBlock(target) => "",
                IDictionary table => FindInTable(table, level),
                Array { Rank: 1 } array when !IsOfValues(array.GetType().GetElementType()!) => FindInList(array, level),
                Array => null,
                IEnumerable many when IsCollection(many.GetType()) => FindInList(many, level),
                _ => null,
            };

        /// <summary>What the shell makes a delegate of is a compiled expression, whose block is among its constants.</summary>
        private static bool IsOfScriptBlock(object target) =>
            target.GetType().GetField("Constants")?.GetValue(target) is object?[] constants && constants.Any(static constant => constant is ScriptBlock);

        private static bool IsOfValues(Type element) => element == typeof(string) || element.IsPrimitive || element.IsEnum;

        /// <summary>Something that has its elements: others may be made by asking for them, or used up by it.</summary>
        private static bool IsCollection(Type type) =>
            typeof(ICollection).IsAssignableFrom(type) || type.GetInterfaces().Any(static face =>
                face.IsGenericType
                && (face.GetGenericTypeDefinition() == typeof(ICollection<>) || face.GetGenericTypeDefinition() == typeof(IReadOnlyCollection<>))
                && !IsOfValues(face.GetGenericArguments()[0]));

        private string? FindInTable(IDictionary table, int level)
        {
            foreach (DictionaryEntry entry in table)
            {
                if (Find(entry.Value, level + 1) is { } path)
                {
                    return $"['{entry.Key}']{path}";
                }
            }

            return null;
        }

        private string? FindInList(IEnumerable list, int level)
        {
            int index = 0;
            foreach (object? item in list)
            {
                if (Find(item, level + 1) is { } path)
                {
                    return $"[{index}]{path}";
                }

                index++;
            }

            return null;
        }

        /// <summary>What the object itself was given: by [pscustomobject], Add-Member and the like.</summary>
        private string? FindInMembers(object plain, int level)
        {
            foreach (PSMemberInfo member in PSObject.AsPSObject(plain).Members.Where(static member => member.IsInstance))
            {
                string? path = member switch
                {
                    PSScriptMethod => "()",
                    PSScriptProperty => "",
                    PSNoteProperty note => Find(note.Value, level + 1),
                    _ => null,
                };
                if (path is not null)
                {
                    return $".{member.Name}{path}";
                }
            }

            return null;
        }
    }
}
