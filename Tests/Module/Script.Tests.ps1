# Script handlers: what a block sees, what becomes of what it puts out, and the connection that it has in its hands.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSReviewUnusedParameter', '', Justification = 'Handlers get them by position.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSAvoidGlobalVars', '', Justification = 'A handler is to see none.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseBOMForUnicodeEncodedFile', '', Justification = 'It is the default now.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/../Clients/Talk.psm1"

    # What is written to it in one runspace is read in another.
    function Get-NewQueue { , [System.Collections.Concurrent.ConcurrentQueue[object]]::new() }

    # The line of this file at which a text stands.
    function Find-Line($Text) {
        $lines = [System.IO.File]::ReadAllLines("$PSScriptRoot/Script.Tests.ps1")
        1 + [array]::IndexOf($lines.ForEach({ $_.Contains($Text) }), $true)
    }

    $base = Get-ProcessLedger
}

Describe 'A script handler' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'has the message as $_ and as $Data, in functions too' {
        $server = Start-C10kServer -Framing Line -ScriptBlock {
            function Get-Both { "$_ $Data" }
            "$_ $Data"
            Get-Both
            1..2 | ForEach-Object { "$_ $Data" }
        }
        Invoke-Talk $server "x`ny`n" | Should -BeExactly "x x`nx x`n1 x`n2 x`ny y`ny y`n1 y`n2 y`n"
        $server.Protocol | Should -Be Script
        $server.MessagesReceived | Should -Be 2
    }

    It 'has the connection and the server' {
        $server = Start-C10kServer -Name mine -Framing Line -ScriptBlock { $Connection.Id; $Connection.ServerName; $Server.Name; $Server.Port }
        $talk = Open-Talk $server
        Send-Talk $talk "x`n"
        $lines = 1..4 | ForEach-Object { Read-Talk $talk -Line }
        $lines | Should -Be @("$((Get-C10kConnection).Id)", 'mine', 'mine', "$($server.Port)")
        Close-Talk $talk
    }

    It 'has a state for each connection, which goes with it' {
        $server = Start-C10kServer -Framing Line -ScriptBlock { $ConnectionState.Count++; $ConnectionState['count'] }
        $first, $second = (Open-Talk $server), (Open-Talk $server)
        foreach ($number in 1..3) {
            Send-Talk $first "x`n"
            Read-Talk $first -Line | Should -Be $number
        }

        Send-Talk $second "x`ny`n"
        Read-Talk $second -Count 4 | Should -BeExactly "1`n2`n"
        Close-Talk $first, $second
        Invoke-Talk $server "x`n" | Should -BeExactly "1`n"
    }

    It 'has the namespaces that its script is using' {
        $path = "$TestDrive/using.ps1"
        [System.IO.File]::WriteAllText($path, @'
using namespace System.Text

param([string] $Name)

Start-C10kServer -Name $Name -Framing Line -ScriptBlock { [StringBuilder]::new($_).Append('!').ToString() }
'@)
        $server = & $path -Name using
        Invoke-Talk $server "x`n" | Should -BeExactly "x!`n"
    }

    It 'gets the connection and the message as arguments, and those of -ArgumentList behind: <Kind>' -ForEach @(
        @{ Kind = 'param'; Block = { param($c, $d, $n, $more) "$($c.Id) $d $n $more" } }
        @{ Kind = 'typed param'; Block = { param([C10kServer.LiveConnection] $c, [string] $d, [int] $n, $more = 'none') "$($c.Id) $d $n $more" } }
        @{ Kind = 'CmdletBinding'; Block = { [CmdletBinding()] param([Parameter(Mandatory)] $c, $d, $n, $more) "$($c.Id) $d $n $more" } }
        @{ Kind = 'args'; Block = { "$($args[0].Id) $($args[1]) $($args[2]) $($args[3])" } }
    ) {
        $server = Start-C10kServer -Framing Line -ArgumentList 5, 'last' -ScriptBlock $Block
        $talk = Open-Talk $server
        Send-Talk $talk "x`n"
        $answer = Read-Talk $talk -Line

        # Behind the answer: an argument is evaluated before what is piped to its command, and the connection might not be there yet.
        $answer | Should -BeExactly "$((Get-C10kConnection).Id) x 5 last"
        Close-Talk $talk
    }

    It 'has nothing of a message in the next: variables, preferences, functions' {
        $server = Start-C10kServer -Framing Line -HandlerCount 1 -ScriptBlock {
            "[$left]$ErrorActionPreference$($null -eq (Get-Command Get-Left -ErrorAction Ignore))"
            $left = $_
            $ErrorActionPreference = 'Stop'
            $Connection = $Data = $Server = 'overwritten'
            function Get-Left { }
        }
        Invoke-Talk $server "x`ny`n" | Should -BeExactly "[]ContinueTrue`n[]ContinueTrue`n"
    }

    It 'does not see the caller''s functions and variables' {
        function Get-Mine { 'mine' }
        $mine = 'mine'
        $server = Start-C10kServer -Framing Line -ScriptBlock { "[$mine]$([bool](Get-Command Get-Mine -ErrorAction Ignore))" }
        Get-Mine | Should -Be $mine
        Invoke-Talk $server "x`n" | Should -BeExactly "[]False`n"
    }

    It 'is at the caller''s location' {
        $place = $ExecutionContext.SessionState.Path
        $before = $place.CurrentLocation.Path
        $null = [System.IO.Directory]::CreateDirectory("$TestDrive/a[1]b")
        $null = $place.SetLocation([wildcardpattern]::Escape("$TestDrive/a[1]b"))
        try {
            $server = Start-C10kServer -ScriptBlock { "$PWD" }
            Invoke-Talk $server 'x' | Should -BeExactly "$TestDrive/a[1]b"
        } finally {
            $null = $place.SetLocation([wildcardpattern]::Escape($before))
        }
    }

    It 'is made of <Kind>' -ForEach @(
        @{ Kind = 'a block of [scriptblock]::Create'; Make = { [scriptblock]::Create('param($c, $d) "<$d>"') } }
        @{ Kind = 'a function'; Make = { function Get-Answer { "<$_>" }; ${function:Get-Answer} } }
        @{ Kind = 'a function with a param block'; Make = { function Get-Answer { param($c, $d) "<$d>" }; ${function:Get-Answer} } }
        @{ Kind = 'a block with end'; Make = { { end { "<$_>" } } } }
        @{ Kind = 'a closure'; Make = { { "<$_>" }.GetNewClosure() } }
    ) {
        Invoke-Talk (Start-C10kServer -Framing Line -ScriptBlock (& $Make)) "x`n" | Should -BeExactly "<x>`n"
    }

    It 'is refused with <Kind>: HandlerParse' -ForEach @(
        @{ Kind = 'begin'; Make = { { begin { 1 } } } }
        @{ Kind = 'process'; Make = { { process { 1 } } } }
        @{ Kind = 'dynamicparam'; Make = { [scriptblock]::Create('param() dynamicparam { } end { 1 }') } }
        @{ Kind = 'clean'; Make = { { end { 1 } clean { 2 } } } }
        @{ Kind = 'a filter'; Make = { filter Get-Answer { $_ }; ${function:Get-Answer} } }
        @{ Kind = 'parameters in parentheses'; Make = { function Get-Answer($Data) { $Data }; ${function:Get-Answer} } }
    ) {
        $block = & $Make
        foreach ($parameter in 'ScriptBlock', 'OnConnect', 'OnClose') {
            $blocks = @{ ScriptBlock = { 1 } }
            $blocks[$parameter] = $block
            $caught = try { Start-C10kServer @blocks } catch { $_ }
            $caught.FullyQualifiedErrorId | Should -Be 'HandlerParse,C10kServer.Commands.StartC10kServerCommand'
            $caught.CategoryInfo.Category | Should -Be ParserError
            "$caught" | Should -Match "^-${parameter}: "
        }

        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'is named with file and line where it fails, and so is what it calls' {
        $server = Start-C10kServer -Framing Line -ScriptBlock {
            param($Connection, $Text)
            function Get-Failure { throw 'in a function' }
            if ($Text -eq 'exit') { & { exit } }
            if ($Text -eq 'plain') { throw "with $using:root" }
            Get-Failure
        }
        foreach ($case in @{ Text = 'plain'; Message = "with $root"; At = 'throw "with ' }, @{ Text = 'else'; Message = 'in a function'; At = "throw 'in a fun" }) {
            Invoke-Talk $server "$($case.Text)`n" | Should -BeNullOrEmpty
            Wait-Until { $server.LastError -match [regex]::Escape($case.Message) }
            $server.LastError | Should -Match 'in a function|with '
        }

        # The position is what the log keeps; the block as it is built has it.
        $seen = Get-NewQueue
        $server = Start-C10kServer -Framing Line -ScriptBlock {
            try { throw 'here' } catch { ($using:seen).Enqueue($_.InvocationInfo) }
            & { exit }
        }
        $null = Invoke-Talk $server "x`n"
        Wait-Until { $seen.Count -eq 1 }
        $seen.ToArray()[0].ScriptName | Should -Be $PSCommandPath
        $seen.ToArray()[0].ScriptLineNumber | Should -Be (Find-Line "try { throw 'here' }")
        $seen.ToArray()[0].OffsetInLine | Should -Be 19
    }

    It 'is shown in the options as it was written, and kept by a restart' {
        $word = 'hello'
        $server = Start-C10kServer -Framing Line -NewLine CrLf -HandlerCount 1 -HandlerTimeout 7 -MaxMessage 100 -MessageTimeout 9 -OnConnect { 'hi' } -OnClose { 2 } -ScriptBlock { "$using:word $_"; & { exit } }
        $word = 'changed'
        $server.Options.ScriptBlock | Should -BeExactly '"$using:word $_"; & { exit }'
        $server.Options.OnConnect | Should -BeExactly "'hi'"
        $server.Options.OnClose | Should -BeExactly '2'
        $server.Options.Framing | Should -Be Line
        $server.Options.NewLine | Should -Be CrLf
        $server.Options.HandlerCount | Should -Be 1
        $server.Options.HandlerTimeout | Should -Be ([timespan]'0:0:7')
        $server.Options.MaxMessage | Should -Be 100
        $server.Options.MessageTimeout | Should -Be ([timespan]'0:0:9')
        $port = $server.Port
        $null = Invoke-Talk $server "x`n"
        foreach ($time in 1..3) {
            $server | Restart-C10kServer
            $server.Port | Should -Be $port
            $server.HandlerErrors | Should -Be 0
            Invoke-Talk $server "x`n" | Should -BeExactly "hi`r`nhello x`r`n"
        }
    }
}

Describe '$using:' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'takes the values of the start: plain, in strings, in braces, of members and elements, by drive and scope, nested, splatted' {
        function Open-WithLocal {
            $local = 'local'
            Start-C10kServer -Framing Line -ScriptBlock { $using:local; $using:local.Length; $using:local:local }
        }

        $word = 'before'
        $object = [pscustomobject]@{ Name = 'name'; List = 10, 20, 30 }
        $table = @{ Key = 'value' }
        $nothing = $null
        $list = 1, 2, 3
        $global:ScriptTestsGlobal = 'global'
        $env:C10K_TEST = 'environment'
        $server = Start-C10kServer -Framing Line -ScriptBlock {
            function Get-Key($Key) { "key $Key" }
            $using:word
            "in a string: $using:word ${using:word} $($using:word)"
            ${using:word}
            $using:object.Name
            $using:object.List[1]
            $using:table['Key']
            $using:env:C10K_TEST
            $using:global:ScriptTestsGlobal
            & { & { "nested $using:word" } }
            Get-Key @using:table
            "[$using:nothing]$($null -eq $using:nothing)"
            "$(($using:list).Count) $using:list"
        }
        $word = 'after'
        $object.Name = 'new name'
        $env:C10K_TEST = 'changed'
        Invoke-Talk $server "x`n" | Should -BeExactly (@(
            'before', 'in a string: before before before', 'before', 'name', '20', 'value', 'environment', 'global',
            'nested before', 'key value', '[]True', '3 1 2 3', '') -join "`n")
        Invoke-Talk (Open-WithLocal) "x`n" | Should -BeExactly "local`n5`nlocal`n"
        $word | Should -Be 'after'
        $nothing | Should -BeNullOrEmpty
        $global:ScriptTestsGlobal | Should -Be global
    }

    It 'is the same object for all blocks and all handler threads' {
        $counts = [System.Collections.Concurrent.ConcurrentDictionary[string, int]]::new()
        $server = Start-C10kServer -Framing Line -HandlerCount 3 -OnConnect { $null = ($using:counts).AddOrUpdate('open', 1, { $args[1] + 1 }) } -ScriptBlock {
            $counts = $using:counts
            do { $old = 0; $null = $counts.TryGetValue($_, [ref] $old) } until (($old -eq 0 -and $counts.TryAdd($_, 1)) -or $counts.TryUpdate($_, $old + 1, $old))
        }
        $talks = 1..10 | ForEach-Object { Open-Talk $server }
        foreach ($talk in $talks) { Send-Talk $talk ("x`n" * 50) -Finish }
        foreach ($talk in $talks) { Read-Talk $talk | Should -BeNullOrEmpty }
        $counts['x'] | Should -Be 500
        $counts['open'] | Should -Be 10
        Close-Talk $talks
    }

    It 'is refused for <Kind>: UsingUnsupported' -ForEach @(
        @{ Kind = 'a variable that is not there'; Block = { $using:notThere }; Says = "no variable 'notThere'" }
        @{ Kind = 'a member of one'; Block = { $using:notThere.Name }; Says = "no variable 'notThere'" }
        @{ Kind = 'a script block'; Block = { & $using:script }; Says = 'script block' }
        @{ Kind = 'one in a nested block'; Block = { & { & $using:script } }; Says = 'script block' }
        @{ Kind = 'a function'; Block = { & $using:function:prompt }; Says = 'script block' }
        @{ Kind = 'a function that is not there'; Block = { & $using:function:NotThere }; Says = "no function 'function:NotThere'" }
        @{ Kind = 'an environment variable that is not there'; Block = { $using:env:C10K_NOT_THERE }; Says = "no item 'env:C10K_NOT_THERE'" }
        @{ Kind = 'an item of a drive that is not there'; Block = { $using:noDrive:x }; Says = "no item 'noDrive:x'" }
        @{ Kind = 'a script block in an array'; Block = { $using:list }; Says = "'\`$using:list\[1\]' is a script block" }
        @{ Kind = 'one in a typed list'; Block = { $using:typed }; Says = "'\`$using:typed\[0\]' is a script block" }
        @{ Kind = 'one in a hashtable'; Block = { $using:table }; Says = "'\`$using:table\['run'\]' is a script block" }
        @{ Kind = 'one deep within'; Block = { $using:deep }; Says = "'\`$using:deep\['a'\]\[0\]\.Inner\[2\]\['b'\]' is a script block" }
        @{ Kind = 'one in a property'; Block = { $using:object }; Says = "'\`$using:object.Run' is a script block" }
        @{ Kind = 'a script method'; Block = { $using:withMethod }; Says = "'\`$using:withMethod.Go\(\)' is a script block" }
        @{ Kind = 'a script property of a list'; Block = { $using:withProperty }; Says = "'\`$using:withProperty.Now' is a script block" }
        @{ Kind = 'a delegate of one'; Block = { $using:delegate }; Says = "'\`$using:delegate' is a script block" }
        @{ Kind = 'one in a synchronized hashtable'; Block = { $using:shared }; Says = "'\`$using:shared\['run'\]' is a script block" }
        @{ Kind = 'one in a concurrent dictionary'; Block = { $using:concurrent }; Says = "'\`$using:concurrent\['run'\]' is a script block" }
    ) {
        $script = { 1 }
        $list = 1, $script, 2
        $typed = [System.Collections.Generic.List[scriptblock]]::new()
        $typed.Add($script)
        $table = @{ x = 1; run = $script }
        $object = [pscustomobject]@{ X = 1; Run = $script }
        $deep = @{ a = @([pscustomobject]@{ Inner = [object[]]('x', 1, @{ b = $script }) }) }
        $withMethod = [pscustomobject]@{ X = 1 } | Add-Member -MemberType ScriptMethod -Name Go -Value { 1 } -PassThru
        $withProperty = [System.Collections.Generic.List[int]]::new()
        Add-Member -InputObject $withProperty -MemberType ScriptProperty -Name Now -Value { 1 }
        $delegate = [System.Func[int]] { 1 }
        $shared = [hashtable]::Synchronized(@{ run = $script })
        $concurrent = [System.Collections.Concurrent.ConcurrentDictionary[string, object]]::new()
        $concurrent['run'] = $script
        $null = $list, $typed, $table, $object, $deep, $withMethod, $withProperty, $delegate, $shared, $concurrent
        function prompt { '' }
        $caught = try { Start-C10kServer -ScriptBlock $Block } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'UsingUnsupported,C10kServer.Commands.StartC10kServerCommand'
        $caught.CategoryInfo.Category | Should -Be InvalidArgument
        "$caught" | Should -Match $Says
        Get-C10kServer | Should -BeNullOrEmpty
        $script | Should -Not -BeNullOrEmpty
        prompt | Should -BeExactly ''
    }

    It 'takes whatever has no script block in it, however it is made: cycles, depth, much, and what is used up by looking' {
        $cycle = @{ Name = 'cycle' }
        $cycle.Self = $cycle
        $list = [System.Collections.ArrayList]@(1)
        $null = $list.Add($list)
        $deep = 'bottom'
        foreach ($i in 1..200) { $deep = , $deep }
        $many = [object[]]::new(1000000)
        $queue = [System.Collections.Concurrent.BlockingCollection[string]]::new()
        $queue.Add('still there')
        $lazy = $queue.GetConsumingEnumerable()
        $delegate = [System.Func[string, int]][int]::Parse
        $server = Start-C10kServer -Framing Line -ScriptBlock {
            "$(($using:cycle).Self.Self.Name) $(($using:list)[0]) $(($using:deep).Count) $(($using:many).Count) $(($using:queue).Count) $(($using:delegate).Invoke('7'))"
            $null = $using:lazy
        }
        $null = $cycle, $list, $deep, $many, $lazy, $delegate
        Invoke-Talk $server "x`n" | Should -BeExactly "cycle 1 1 1000000 1 7`n"
    }

    It 'is refused in -ArgumentList, too' {
        $caught = try { Start-C10kServer -ScriptBlock { 1 } -ArgumentList 1, @{ run = { 2 } } } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'UsingUnsupported,C10kServer.Commands.StartC10kServerCommand'
        "$caught" | Should -Match "-ArgumentList: '\[1\]\['run'\]' is a script block"
    }

    It 'within a block for another runspace is that one''s: <Kind>' -ForEach @(
        @{ Kind = 'ForEach-Object -Parallel'; Block = { $mine = "mine $_"; 1 | ForEach-Object -Parallel { "$using:mine" } } }
        @{ Kind = '% -Parallel, nested'; Block = { $mine = "mine $_"; & { 1 | % -Parallel { & { $using:mine } } } } }
        @{ Kind = 'Start-Job'; Block = { function Start-Job($Block) { "mine$($Block.ToString().Replace('$using:mine', 'x').TrimEnd())" }; Start-Job { $using:mine } } }
        @{ Kind = 'Start-ThreadJob, by its module'; Block = { $mine = "mine $_"; Microsoft.PowerShell.ThreadJob\Start-ThreadJob -ScriptBlock:{ $using:mine } | Receive-Job -Wait -AutoRemoveJob } }
    ) {
        Invoke-Talk (Start-C10kServer -Framing Line -ScriptBlock $Block) "x`n" | Should -BeExactly "mine x`n"
    }

    It 'within a Start-C10kServer of a handler is that one''s, and so are exit and break there' {
        $outer = 'outer'
        $server = Start-C10kServer -Framing Line -ImportModule "$root/C10kServer.psd1" -ScriptBlock {
            $mine = "mine $_ $using:outer"
            $inner = Start-C10kServer -Framing Line -ScriptBlock { "$using:mine and $_"; & { exit }; 'not this' }
            "$($inner.Port)"
        }
        $talk = Open-Talk $server
        Send-Talk $talk "x`n"
        $port = [int](Read-Talk $talk -Line)
        Invoke-Talk @{ Port = $port } "y`n" | Should -BeExactly "mine x outer and y`n"
        Close-Talk $talk
        $outer | Should -Be outer
    }

    It 'within a block for the same runspace is the handler''s: <Kind>' -ForEach @(
        @{ Kind = 'ForEach-Object'; Block = { 1 | ForEach-Object { "$using:word" } } }
        @{ Kind = 'ForEach-Object -Process'; Block = { 1 | ForEach-Object -Process { "$using:word" } } }
        @{ Kind = 'Where-Object'; Block = { 'word', 'other' | Where-Object { $_ -eq $using:word } } }
        @{ Kind = 'a method'; Block = { (1).ForEach({ $using:word }) } }
    ) {
        $word = 'word'
        Invoke-Talk (Start-C10kServer -Framing Line -ScriptBlock $Block) "x`n" | Should -BeExactly "word`n"
        $word | Should -Be word
    }
}

Describe 'What a script handler puts out' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'is sent: <Kind>' -ForEach @(
        @{ Kind = 'a string'; Block = { 'a' }; Raw = 'a'; Line = "a`n" }
        @{ Kind = 'several strings'; Block = { 'a'; ''; 'b' }; Raw = 'ab'; Line = "a`n`nb`n" }
        @{ Kind = 'bytes, as they are'; Block = { [byte[]](65, 66, 10, 0, 255) }; Raw = "AB`n`0ÿ"; Line = "AB`n`0ÿ" }
        @{ Kind = 'the sum of two byte arrays, in one piece'; Block = { , ([byte[]](65, 66) + [byte[]](10, 255)) }; Raw = "AB`nÿ"; Line = "AB`nÿ" }
        @{ Kind = 'bytes in a list'; Block = { , [System.Collections.Generic.List[byte]][byte[]](65, 66) }; Raw = 'AB'; Line = 'AB' }
        @{ Kind = 'bytes in one piece'; Block = { , [byte[]](65, 66) }; Raw = 'AB'; Line = 'AB' }
        @{ Kind = 'runs of bytes between strings'; Block = { 'x'; [byte[]](65, 66); 'y'; , [byte[]](67); [byte]68; 'z' }; Raw = 'xAByCDz'; Line = "x`nABy`nCDz`n" }
        @{ Kind = 'null, as nothing'; Block = { $null; 'a'; $null }; Raw = 'a'; Line = "a`n" }
        @{ Kind = 'nothing'; Block = { }; Raw = ''; Line = '' }
        @{ Kind = 'numbers, not in the culture of the caller'; Block = { 1.5; 1234567.25; 0.1d; 42 }; Raw = '1.51234567.250.142'; Line = "1.5`n1234567.25`n0.1`n42`n" }
        @{ Kind = 'dates'; Block = { [datetime]'2024-03-04T05:06:07' }; Raw = '03/04/2024 05:06:07'; Line = "03/04/2024 05:06:07`n" }
        @{ Kind = 'other objects'; Block = { $true; 'c'[0]; [dayofweek]1; [timespan]'0:0:1'; [pscustomobject]@{ A = 1.5 } }
            Raw = 'TruecMonday00:00:01@{A=1.5}'; Line = "True`nc`nMonday`n00:00:01`n@{A=1.5}`n" }
    ) {
        $culture = [cultureinfo]::CurrentCulture
        [cultureinfo]::CurrentCulture = 'de-DE'
        try {
            Invoke-Talk (Start-C10kServer -ScriptBlock $Block) 'x' | Should -BeExactly $Raw
            Invoke-Talk (Start-C10kServer -Framing Line -ScriptBlock $Block) "x`n" | Should -BeExactly $Line
        } finally {
            [cultureinfo]::CurrentCulture = $culture
        }
    }

    It 'is an error where it is an array, in one piece, of something else than bytes: <Kind>' -ForEach @(
        @{ Kind = 'strings'; Block = { , @('a', 'b') } }
        @{ Kind = 'a fraction'; Block = { , @(1, 2.5) } }
        @{ Kind = 'a number that is no byte'; Block = { , @(255, 256) } }
    ) {
        $server = Start-C10kServer -Framing Line -ScriptBlock $Block
        Invoke-Talk $server "x`n" | Should -BeNullOrEmpty
        Wait-Until { $server.HandlerErrors -eq 1 }
        $server.LastError | Should -Match 'is no byte, which is a number from 0 to 255'
    }

    It 'is the same for an array of bytes with a comma in front and without, and with the comma many times as fast' {
        $server = Start-C10kServer -Framing Line -ScriptBlock {
            $bytes = [byte[]]::new(300KB + 1)
            [array]::Fill($bytes, [byte]65)
            $bytes[-1] = 10
            if ($_ -eq 'whole') { , $bytes } else { $bytes }
        }
        $talk = Open-Talk $server

        # The best of some times each, in turn, because the machine may stand still in any of them.
        $best = @{ whole = [timespan]::MaxValue; apart = [timespan]::MaxValue }
        foreach ($time in 1..5) {
            foreach ($way in 'whole', 'apart') {
                $watch = [System.Diagnostics.Stopwatch]::StartNew()
                Send-Talk $talk "$way`n"
                $answer = Read-Talk $talk -Count (300KB + 1)
                if ($watch.Elapsed -lt $best[$way]) { $best[$way] = $watch.Elapsed }
                $answer -ceq ('A' * 300KB + "`n") | Should -BeTrue
            }
        }

        Close-Talk $talk
        $best.whole * 5 | Should -BeLessThan $best.apart
    }

    It 'may be a megabyte, many times' {
        $server = Start-C10kServer -Framing Line -ScriptBlock { $_ * 1MB; $_ * 1MB }
        $talk = Open-Talk $server
        foreach ($time in 1..5) {
            Send-Talk $talk "a`nb`n"
            $answer = Read-Talk $talk -Count (4 * (1MB + 1))
            $answer -ceq (('a', 'a', 'b', 'b').ForEach({ $_ * 1MB + "`n" }) -join '') | Should -BeTrue
        }

        Close-Talk $talk
    }

    It 'waits for a client that reads late, and is whole and in order: 41 MB for one write' {
        $server = Start-C10kServer -Framing Line -ScriptBlock { $_ * 25KB }
        $talk = Open-Talk $server
        Send-Talk $talk ((1..400).ForEach({ "{0:d4}`n" -f $_ }) -join '')

        # Until the kernel takes no more, and the handler waits.
        $state = @{ Last = -1 }
        Wait-Until {
            $row = Get-C10kConnection $server.Name
            $isStuck = $row.ReadPaused -and $row.BytesSent -eq $state.Last
            $state.Last = $row.BytesSent
            $isStuck
        }
        (Get-C10kConnection $server.Name).SendQueue | Should -BeGreaterThan 0
        (Get-C10kConnection $server.Name).SendQueue | Should -BeLessOrEqual (64KB + 100KB + 1)
        $right = 0
        foreach ($i in 1..400) { $right += [int]((Read-Talk $talk -Count (100KB + 1)) -ceq (('{0:d4}' -f $i) * 25KB + "`n")) }
        $right | Should -Be 400
        Close-Talk $talk
        $server.LastError | Should -BeNullOrEmpty
    }

    It 'may be larger than -MaxSendQueue, in one answer and by $Connection.Send' {
        $server = Start-C10kServer -Framing Line -MaxSendQueue 100KB -ScriptBlock { $_ * 8MB; $null = $Connection.Send($_ * 4MB) }
        $talk = Open-Talk $server
        Send-Talk $talk "a`nb`n"
        foreach ($letter in 'a', 'b') {
            (Read-Talk $talk -Count (4MB + 1)) -ceq ($letter * 4MB + "`n") | Should -BeTrue
            (Read-Talk $talk -Count (8MB + 1)) -ceq ($letter * 8MB + "`n") | Should -BeTrue
        }

        Close-Talk $talk
    }

    It 'by $Connection.Send without end waits for its client, is bounded, and is stopped by -HandlerTimeout' {
        $block = [byte[]]::new(100KB)
        $server = Start-C10kServer -HandlerCount 1 -HandlerTimeout 2s -MaxSendQueue 1MB -LingerTimeout 1s -ScriptBlock {
            while ($true) { $null = $Connection.Send($using:block) }
        }
        $talk = Open-Talk $server
        Send-Talk $talk 'x'
        $state = @{ Most = 0 }
        Wait-Until {
            $state.Most = [Math]::Max($state.Most, (Get-C10kConnection $server.Name).SendQueue)
            $server.HandlerTimeouts -eq 1
        }
        $state.Most | Should -BeGreaterThan 0
        $state.Most | Should -BeLessOrEqual 1MB
        Close-Talk $talk
        Wait-Until { $server.ConnectionCount -eq 0 }

        # The one thread has come back by itself.
        Get-C10kLog $server.Name | Where-Object Message -Match 'left to itself' | Should -BeNullOrEmpty
        $server | Stop-C10kServer
    }

    It 'comes in the order of the handler, with what that sends by itself' {
        $server = Start-C10kServer -Framing Line -ScriptBlock {
            $null = $Connection.Send('1')
            'out'
            $null = $Connection.SendText('2 ')
            $null = $Connection.SendFrame([byte[]](51))
            $null = $Connection.Send([byte[]](52, 10))
        }
        Invoke-Talk $server "x`n" | Should -BeExactly "1`n2 3`n4`nout`n"
    }
}

Describe '$Connection' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'is the row of Get-C10kConnection, live' {
        $queue = Get-NewQueue
        $server = Start-C10kServer -Framing Line -ScriptBlock { $Connection.Tag = "tag $_"; ($using:queue).Enqueue($Connection); $_ }
        $talk = Open-Talk $server
        Send-Talk $talk "one`n"
        Read-Talk $talk -Line | Should -Be one
        $live = $queue.ToArray()[0]
        $live | Should -BeOfType ([C10kServer.LiveConnection])
        $row = Get-C10kConnection -Id $live.Id
        Wait-Until { (Get-C10kConnection -Id $live.Id).BytesSent -eq 4 }
        $row = Get-C10kConnection -Id $live.Id
        foreach ($property in 'Id', 'ServerName', 'State', 'RemotePort', 'BytesReceived', 'BytesSent', 'MessagesReceived', 'Tag') {
            "$($live.$property)" | Should -BeExactly "$($row.$property)" -Because $property
        }

        $live.RemotePort | Should -Be $talk.Client.Client.LocalEndPoint.Port
        "$($live.RemoteEndPoint)" | Should -Be "127.0.0.1:$($live.RemotePort)"
        $live.RemoteAddress | Should -Be '127.0.0.1'
        $live.BytesReceived | Should -Be 4
        $live.MessagesReceived | Should -Be 1
        $row.Tag | Should -Be 'tag one'
        "$live" | Should -Be "#$($live.Id) $($live.RemoteEndPoint)"
        Send-Talk $talk "two`n"
        Read-Talk $talk -Line | Should -Be two
        $live.MessagesReceived | Should -Be 2
        Close-Talk $talk
        Wait-Until { $live.State -eq 'Closed' }
        $live.CloseReason | Should -Be PeerClosed
    }

    It 'sends from other threads and other connections, and says false when it is over' {
        $clients = [System.Collections.Concurrent.ConcurrentDictionary[long, object]]::new()
        $server = Start-C10kServer -Framing Line -OnConnect { ($using:clients)[$Connection.Id] = $Connection } -ScriptBlock {
            foreach ($other in ($using:clients).Values) { if ($other.Id -ne $Connection.Id) { $null = $other.Send("$_ for $($other.Id)") } }
            'done'
        }
        $talks = @(1..5 | ForEach-Object { Open-Talk $server })
        Wait-Until { $clients.Count -eq 5 }
        Send-Talk $talks[0] "news`n"
        Read-Talk $talks[0] -Line | Should -Be done
        foreach ($talk in $talks[1..4]) { Read-Talk $talk -Line | Should -Match '^news for \d+$' }

        # From this thread, long after the handler has returned.
        $ids = [long[]]@($clients.Keys)
        foreach ($id in $ids) {
            $clients[$id].Send('from outside') | Should -BeTrue
            $clients[$id].SendText('te') | Should -BeTrue
            $clients[$id].Send([byte[]](120, 116)) | Should -BeTrue
            $clients[$id].SendFrame([byte[]](33)) | Should -BeTrue
        }

        foreach ($talk in $talks) {
            Read-Talk $talk -Line | Should -Be 'from outside'
            Read-Talk $talk -Line | Should -Be 'text!'
        }

        $clients[$ids[0]].Close()
        Wait-Until { $clients[$ids[0]].State -in 'Closing', 'Closed' }
        $clients[$ids[0]].Send('too late') | Should -BeFalse
        $clients[$ids[1]].Abort()
        Wait-Until { $clients[$ids[1]].State -eq 'Closed' }
        $clients[$ids[1]].SendText('too late') | Should -BeFalse
        $clients[$ids[1]].SendFrame([byte[]](33)) | Should -BeFalse
        Close-Talk $talks
        Wait-Until { $server.ConnectionCount -eq 0 }
        foreach ($id in $ids) { $clients[$id].Send([byte[]](33)) | Should -BeFalse }
        $server.HandlerErrors | Should -Be 0
    }

    It 'sends bytes as bytes, in whatever array, and any other array is an error' {
        $server = Start-C10kServer -Framing Line -ScriptBlock {
            $a, $b = [byte[]](65, 66), [byte[]](67, 10)
            $Connection.Send($a + $b)
            $Connection.Send([System.Collections.ArrayList]($a + $b))
            $Connection.Send([object[]](65, 66L, [byte]10))
            $Connection.Send([byte]68)
            $Connection.Send(42)
            $Connection.Send(@())
            try { $Connection.Send(('x', 'y')) } catch { "$_" }
        }
        Invoke-Talk $server "x`n" | Should -BeExactly (
            "ABC`nABC`nAB`nD42`n" + "True`n" * 6 +
            "Exception calling `"Send`" with `"1`" argument(s): `"'x' is no byte, which is a number from 0 to 255. Give one string (-join makes one of several), or bytes.`"`n")
        $server.HandlerErrors | Should -Be 0
    }

    It 'of another server has that one''s framing, also in a handler' {
        $queue = Get-NewQueue
        $target = Start-C10kServer -Framing Length -LengthSize 1 -Encoding unicode -OnConnect { ($using:queue).Enqueue($Connection) } -ScriptBlock { }
        $reader = Open-Talk $target
        Wait-Until { $queue.Count -eq 1 }
        $source = Start-C10kServer -Framing Line -ScriptBlock { foreach ($one in $using:queue) { $null = $one.Send($_) }; 'sent' }
        Invoke-Talk $source "ab`n" | Should -BeExactly "sent`n"
        Read-Talk $reader -Count 5 | Should -BeExactly "$([char]4)a`0b`0"
        Close-Talk $reader
    }

    It 'is closed by its handler after all that this puts out, and what comes later is dropped' {
        $seen = Get-NewQueue
        $server = Start-C10kServer -Framing Line -OnClose { ($using:seen).Enqueue("closed $($Connection.CloseReason)") } -ScriptBlock {
            ($using:seen).Enqueue($_)
            'before'
            $Connection.Close()
            'after'
        }
        $talk = Open-Talk $server
        Send-Talk $talk "1`n2`n3`n"
        Read-Talk $talk | Should -BeExactly "before`nafter`n"
        Close-Talk $talk
        Wait-Until { $seen.Count -ge 2 }
        $seen | Should -Be @('1', 'closed HandlerClosed')
        $server.HandlerErrors | Should -Be 0
    }

    It 'of a client that does not read says false to others when its queue is full, and goes on' {
        $queue = Get-NewQueue
        $server = Start-C10kServer -Framing Line -MaxSendQueue 200KB -OnConnect { ($using:queue).Enqueue($Connection) } -ScriptBlock { }
        $talk = Open-Talk $server
        Wait-Until { $queue.Count -eq 1 }
        $live = $queue.ToArray()[0]
        $text = 'x' * 9999
        $state = @{ Sent = 0 }

        # The kernel takes some, and takes more of it after a moment.
        Wait-Until {
            while ($live.Send($text)) { $state.Sent++ }
            $live.SendQueue -gt 190KB - 10000
        }
        $live.State | Should -Be Open
        $live.SendQueue | Should -BeLessOrEqual 200KB
        (Read-Talk $talk -Count (10000 * $state.Sent)) -ceq ("$text`n" * $state.Sent) | Should -BeTrue
        $live.Send('again') | Should -BeTrue
        Read-Talk $talk -Line | Should -Be 'again'
    }

    It 'is reset by Abort' {
        $server = Start-C10kServer -Framing Line -ScriptBlock { $Connection.Abort() }
        $talk = Open-Talk $server
        Send-Talk $talk "x`n"
        { Read-Talk $talk } | Should -Throw
        Wait-Until { $server.ConnectionCount -eq 0 }
        (Get-C10kConnection -Closed).CloseReason | Should -Be Aborted
        Close-Talk $talk
    }
}

Describe '-OnConnect and -OnClose' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'greet a client that says nothing' {
        $talk = Open-Talk (Start-C10kServer -Framing Line -NewLine CrLf -OnConnect { "220 hello $($Connection.RemotePort)"; $ConnectionState.Name = 'nobody' } -ScriptBlock { $ConnectionState.Name })
        Read-Talk $talk -Line | Should -BeExactly "220 hello $($talk.Client.Client.LocalEndPoint.Port)`r"
        Send-Talk $talk "x`n" -Finish
        Read-Talk $talk | Should -BeExactly "nobody`r`n"
        Close-Talk $talk
    }

    It 'come once for each connection, first and last, whichever way it ends' {
        $seen = Get-NewQueue
        $server = Start-C10kServer -Framing Line -HandlerCount 4 -LingerTimeout 200ms -OnConnect { ($using:seen).Enqueue("$($Connection.Id) open") } -ScriptBlock {
            ($using:seen).Enqueue("$($Connection.Id) $_")
            switch ($_) { 'throw' { throw 'x' } 'close' { $Connection.Close() } 'abort' { $Connection.Abort() } }
        } -OnClose { ($using:seen).Enqueue("$($Connection.Id) $($Connection.CloseReason) $($null -eq $_)") }
        $reasons = @{ throw = 'HandlerError'; close = 'HandlerClosed'; abort = 'Aborted'; end = 'PeerClosed'; stop = 'ServerStopped' }
        $talks = @(foreach ($time in 1..5) {
            foreach ($way in $reasons.Keys) {
                $talk = Open-Talk $server
                Send-Talk $talk "first`n$way`n" -Finish:($way -eq 'end')
                $talk
            }
        })
        Wait-Until { $server.ConnectionCount -eq 5 -and @($seen).Count -eq 25 * 3 + 20 }
        Stop-C10kServer $server.Name
        $lines = @{}
        foreach ($line in $seen) {
            $id, $what = $line -split ' ', 2
            $lines[$id] += , $what
        }

        $lines.Count | Should -Be 25
        foreach ($id in $lines.Keys) {
            $way = $lines[$id][2]
            $lines[$id] | Should -Be @('open', 'first', $way, "$($reasons[$way]) True") -Because $id
        }

        Close-Talk $talks
    }

    It 'come with the message block from the same block rules: arguments, using, errors' {
        $seen = Get-NewQueue
        $server = Start-C10kServer -ArgumentList 'more' -OnConnect { param($c, $d, $m) "$($c.Id -gt 0)$($null -eq $d)$m" } -ScriptBlock { } -OnClose { ($using:seen).Enqueue("$($args[2])"); throw 'at the end' }
        Invoke-Talk $server '' | Should -BeExactly 'TrueTruemore'
        Wait-Until { $server.HandlerErrors -eq 1 }
        $seen | Should -Be more
        $server.LastError | Should -Match 'at the end'
        $server.State | Should -Be Running
        $failing = Start-C10kServer -OnConnect { throw 'not you' } -ScriptBlock { }
        Invoke-Talk $failing '' | Should -BeNullOrEmpty
        Wait-Until { $failing.Closed -eq 1 }
        (Get-C10kConnection $failing.Name -Closed).CloseReason | Should -Be HandlerError
    }
}
