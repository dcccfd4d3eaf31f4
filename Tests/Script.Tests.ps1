# Script handlers: what a block sees, what becomes of what it puts out, and the connection that it has in its hands.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSReviewUnusedParameter', '', Justification = 'Handlers get them by position.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSAvoidGlobalVars', '', Justification = 'A handler is to see none.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseBOMForUnicodeEncodedFile', '', Justification = 'It is the default now.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetDirectoryName($PSScriptRoot)
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/Clients/Talk.psm1"

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
    ) {
        $script = { 1 }
        function prompt { '' }
        $caught = try { Start-C10kServer -ScriptBlock $Block } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'UsingUnsupported,C10kServer.Commands.StartC10kServerCommand'
        $caught.CategoryInfo.Category | Should -Be InvalidArgument
        "$caught" | Should -Match $Says
        Get-C10kServer | Should -BeNullOrEmpty
        $script | Should -Not -BeNullOrEmpty
        prompt | Should -BeExactly ''
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
        @{ Kind = 'bytes in one piece'; Block = { , [byte[]](65, 66) }; Raw = 'AB'; Line = 'AB' }
        @{ Kind = 'runs of bytes between strings'; Block = { 'x'; [byte[]](65, 66); 'y'; , [byte[]](67); [byte]68; 'z' }; Raw = 'xAByCDz'; Line = "x`nABy`nCDz`n" }
        @{ Kind = 'null, as nothing'; Block = { $null; 'a'; $null }; Raw = 'a'; Line = "a`n" }
        @{ Kind = 'nothing'; Block = { }; Raw = ''; Line = '' }
        @{ Kind = 'numbers, not in the culture of the caller'; Block = { 1.5; 1234567.25; 0.1d; 42 }; Raw = '1.51234567.250.142'; Line = "1.5`n1234567.25`n0.1`n42`n" }
        @{ Kind = 'dates'; Block = { [datetime]'2024-03-04T05:06:07' }; Raw = '03/04/2024 05:06:07'; Line = "03/04/2024 05:06:07`n" }
        @{ Kind = 'other objects'; Block = { $true; 'c'[0]; [dayofweek]1; [timespan]'0:0:1'; [pscustomobject]@{ A = 1.5 }; , @(1, 2.5) }
            Raw = 'TruecMonday00:00:01@{A=1.5}1 2.5'; Line = "True`nc`nMonday`n00:00:01`n@{A=1.5}`n1 2.5`n" }
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
